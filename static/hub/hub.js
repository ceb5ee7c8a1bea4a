/* The console's own behaviour. Everything is bound by attributes, once, on the document, so that parts swapped in later need nothing.
     data-confirm, data-note, data-reason   on a form, or one button of it: ask before sending it
     data-copy                              on a button: copies the text of the element with this id
     data-autosubmit                        on a form: sends it when a choice changes
     data-hub-theme, data-hub-side, data-hub-palette, data-hub-dismiss   the shell's buttons */
(() => {
  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private mode: it lasts for the page */ } };

  /* theme ------------------------------------------------------------------ */

  const markTheme = () => {
    for (const button of document.querySelectorAll("[data-hub-theme]")) button.setAttribute("aria-pressed", String(button.dataset.hubTheme === root.dataset.theme));
  };

  /* sidebar: beside the page, or over it on narrow windows --------------------- */

  const narrow = matchMedia("(max-width: 1279px)");
  const sideIsOpen = () => (narrow.matches ? root.dataset.drawer === "open" : root.dataset.side !== "closed");
  const markSide = () => find("[data-hub-side]")?.setAttribute("aria-expanded", String(sideIsOpen()));
  const setSide = (open) => {
    if (narrow.matches) {
      root.dataset.drawer = open ? "open" : "closed";
      if (open) find("#hub-side a")?.focus();
    } else {
      root.dataset.side = open ? "open" : "closed";
      remember("hub-side", root.dataset.side);
      dispatchEvent(new Event("hub:side"));
    }
    markSide();
  };
  narrow.addEventListener("change", () => { delete root.dataset.drawer; markSide(); });

  /* palette ----------------------------------------------------------------------- */

  const palette = () => find("#hub-palette");
  let asked = 0;
  let waiting;

  const openPalette = () => {
    const dialog = palette();
    if (!dialog || dialog.open || find("dialog[open]")) return;
    dialog.showModal();
    const input = find("input", dialog);
    input.value = "";
    input.focus();
    search("");
  };
  const options = () => [...palette().querySelectorAll("[role=option]:not([aria-disabled])")];
  const choose = (option) => {
    for (const other of options()) other.setAttribute("aria-selected", String(other === option));
    const input = find("input", palette());
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const chosen = () => options().find((option) => option.getAttribute("aria-selected") === "true");
  const search = async (text) => {
    const mine = ++asked;
    const dialog = palette();
    const answer = await fetch(`${dialog.dataset.url}?s=${encodeURIComponent(text)}`, { headers: { "X-Requested-With": "fetch" }, credentials: "same-origin" }).catch(() => null);
    if (mine !== asked) return;  // a later answer is on its way
    if (!answer || !answer.ok || answer.redirected) return;
    find("[role=listbox]", dialog).innerHTML = await answer.text();
    const found = find("[data-found]", dialog);
    find("[role=status]", dialog).textContent = found ? found.dataset.found : "";
    choose(options()[0]);
  };

  document.addEventListener("input", (event) => {
    if (!event.target.matches("#hub-palette input")) return;
    clearTimeout(waiting);
    waiting = setTimeout(search, 120, event.target.value.trim());
  });
  document.addEventListener("mousemove", (event) => {
    const option = event.target.closest?.("#hub-palette a[role=option]");
    if (option && option !== chosen()) choose(option);
  });

  /* one question before an act that cannot be taken back ------------------------------ */

  const confirmed = new WeakSet();
  const ask = (form, submitter, words) => {
    const dialog = find("#hub-confirm");
    const part = (name) => find(`[data-part=${name}]`, dialog);
    const text = find("textarea", dialog);
    find("h2", dialog).textContent = words.dataset.confirm;
    part("note").textContent = words.dataset.note || "";
    part("reason").hidden = !words.dataset.reason;
    text.required = words.dataset.reason === "required";
    text.value = "";
    part("yes").textContent = words.dataset.yes || submitter?.textContent.trim() || "OK";
    part("yes").dataset.kind = words.dataset.danger === undefined ? "primary" : "danger";
    const go = (event) => {
      event.preventDefault();
      if (words.dataset.reason) {
        let field = form.elements.namedItem("reason");
        if (!field) {
          field = Object.assign(document.createElement("input"), { type: "hidden", name: "reason" });
          form.append(field);
        }
        field.value = text.value.trim();
      }
      confirmed.add(form);
      dialog.close();
      form.requestSubmit(submitter || undefined);
    };
    const inner = find("form", dialog);
    inner.onsubmit = go;
    part("no").onclick = () => dialog.close();
    dialog.showModal();
    (words.dataset.reason ? text : part(words.dataset.danger === undefined ? "yes" : "no")).focus();
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const words = event.submitter?.dataset.confirm ? event.submitter : form;
    if (words.dataset.confirm && !confirmed.has(form)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      ask(form, event.submitter, words);
      return;
    }
    confirmed.delete(form);
    if (form.method === "post" && !form.hasAttribute("hx-post")) {  // a second click while the first is under way does nothing
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
    }
  }, true);
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

  /* clicks and keys --------------------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest?.(selector);
    let button;
    if ((button = at("[data-hub-theme]"))) {
      remember("hub-theme", button.dataset.hubTheme);
      dispatchEvent(new Event("hub:theme"));
      markTheme();
    } else if (at("[data-hub-side]")) setSide(!sideIsOpen());
    else if (at("[data-hub-side-close]")) setSide(false);
    else if (at("[data-hub-palette]")) openPalette();
    else if ((button = at("[data-hub-dismiss]"))) button.closest("li").remove();
    else if ((button = at("[data-copy]"))) {
      const source = document.getElementById(button.dataset.copy);
      navigator.clipboard?.writeText(source.value ?? source.textContent.trim()).then(() => {
        button.dataset.done = "1";
        setTimeout(() => delete button.dataset.done, 1600);
      }, () => source.select?.());
    } else if (event.target === palette()) palette().close();  // a click beside it, on the backdrop
  });

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openPalette();
      return;
    }
    if (event.key === "Escape" && root.dataset.drawer === "open") {
      setSide(false);
      find("[data-hub-side]").focus();
      return;
    }
    if (!palette()?.open) return;
    const all = options();
    const place = all.indexOf(chosen());
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(all[(place + (event.key === "ArrowDown" ? 1 : all.length - 1) + all.length) % all.length]);
    } else if (event.key === "Enter" && chosen() && !event.isComposing) {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) open(chosen().href, "_blank", "noopener");
      else location.assign(chosen().href);
    }
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-autosubmit]");
    if (form && event.target.matches("select, input[type=checkbox], input[type=radio], input[type=date]")) form.requestSubmit();
  });
  document.addEventListener("formdata", (event) => {  // filters: no empty parameters in the address
    if (event.target.matches?.("form[data-autosubmit]")) for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  }, true);

  /* live parts: keep what the reader opened, typed and focused -------------------------------- */

  const busy = (target) => {
    const active = document.activeElement;
    return (active && target.contains(active) && active.matches("input, textarea, select")) || find("dialog[open]") || (target.contains(getSelection().anchorNode) && !getSelection().isCollapsed);
  };
  const place = (element) => element.id || element.getAttribute("href") || element.getAttribute("data-key") || element.textContent.trim().slice(0, 80);

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.hasAttribute("data-live") && (document.hidden || busy(event.detail.target))) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target } = event.detail;
    if (!event.detail.requestConfig?.elt.hasAttribute("data-live")) return;
    if (busy(target)) { event.detail.shouldSwap = false; return; }
    const active = document.activeElement;
    const kept = {
      open: new Map([...target.querySelectorAll("details")].map((element) => [element.id || find("summary", element)?.textContent.trim(), element.open])),
      focus: target.contains(active) && active !== target ? [active.tagName, place(active)] : null,
      scroll: [...target.querySelectorAll("[data-keep-scroll]")].map((element) => [element.id, element.scrollTop, element.scrollLeft]),
    };
    document.addEventListener("htmx:afterSwap", () => {
      const now = document.getElementById(target.id) || document;
      for (const element of now.querySelectorAll("details")) {
        const was = kept.open.get(element.id || find("summary", element)?.textContent.trim());
        if (was !== undefined) element.open = was;
      }
      for (const [id, top, left] of kept.scroll) document.getElementById(id)?.scrollTo(left, top);
      if (kept.focus) [...now.querySelectorAll(kept.focus[0])].find((element) => place(element) === kept.focus[1])?.focus({ preventScroll: true });
    }, { once: true });
  });

  markTheme();
  markSide();
})();
