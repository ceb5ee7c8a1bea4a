/* The mapping editor: says that something is not saved yet, asks before it is lost, and keeps rows open when the hub draws them again. */
(() => {
  const form = () => document.getElementById("mapping-form");
  let leaving = false;
  const mark = () => form()?.setAttribute("data-changed", "");

  document.addEventListener("input", (event) => { if (event.target.closest?.("#mapping-form") && !event.target.closest("#h-preview")) mark(); });
  document.addEventListener("submit", (event) => { if (event.target === form() || event.target.method === "post") leaving = true; });
  addEventListener("pageshow", () => { leaving = false; });
  addEventListener("beforeunload", (event) => { if (!leaving && form()?.hasAttribute("data-changed")) event.preventDefault(); });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target } = event.detail;
    if (!target?.closest?.("#mapping-form") || target.id === "h-preview") return;
    mark();
    const open = [...target.querySelectorAll("details[open][id]")].map((part) => part.id);
    document.addEventListener("htmx:afterSwap", () => { for (const id of open) document.getElementById(id)?.setAttribute("open", ""); }, { once: true });
  });

  // A choice that was made while the page still loaded is made again.
  document.addEventListener("DOMContentLoaded", () => setTimeout(() => {
    for (const select of document.querySelectorAll("#mapping-form select[hx-trigger]")) {
      if (select.selectedOptions[0] && !select.selectedOptions[0].defaultSelected && select.selectedIndex > 0) select.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }));

  // Enter in a row goes on to the preview instead of sending the form; in a list of steps to add it adds the step.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches?.(".hub-row :is(input, select)")) return;
    event.preventDefault();
    if (event.target.name?.endsWith(".add")) event.target.nextElementSibling?.click();
  });
})();
