/* The form of a system's settings: what changes its shape (another way to sign in, one more entity) or tries the connection has the hub draw it again.
   Nothing typed is lost: secrets travel on sealed. Without this script the same buttons send the form as a whole. */
(() => {
  const form = () => document.getElementById("settings-form");

  const redraw = async (trigger) => {
    const current = form();
    const body = new FormData(current);
    if (trigger.name && trigger.tagName === "BUTTON") body.set(trigger.name, trigger.value);
    else body.set("change", "redraw");
    const open = [...current.querySelectorAll("details[open][id]")].map((part) => part.id);
    current.setAttribute("aria-busy", "true");
    current.inert = true; // what is typed now would be lost
    if (trigger.dataset.busy) { trigger.disabled = true; trigger.lastChild.textContent = trigger.dataset.busy; }
    const answer = await fetch(location.href, { method: "POST", body: new URLSearchParams(body), headers: { "HX-Request": "true" }, credentials: "same-origin" }).catch(() => null);
    if (!answer || !answer.ok) { HTMLFormElement.prototype.submit.call(current); return; }
    const drawn = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("settings-form");
    if (!drawn) { location.reload(); return; }
    for (const id of open) drawn.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
    current.replaceWith(document.adoptNode(drawn));
    const after = trigger.id && document.getElementById(trigger.id);
    if (after) after.focus();
    else document.querySelector(".hub-tested")?.scrollIntoView({ block: "nearest" });
    if (trigger.value?.startsWith("add:")) document.getElementById(`s-${trigger.value.slice(4).replaceAll("/", "-")}`)?.querySelector(":scope > .hub-part-body > details:last-of-type input")?.focus();
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches("#settings-form :is(select, input[type=checkbox])[data-redraw]")) redraw(event.target);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#settings-form button[data-redraw]");
    if (!button) return;
    event.preventDefault();
    redraw(button);
  });
})();
