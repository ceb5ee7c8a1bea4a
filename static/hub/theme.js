/* Runs before the first paint: light or dark, and whether the sidebar is open. The rest of the shell is in hub.js. */
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const apply = () => {
    const theme = stored("hub-theme") || "auto";
    root.dataset.theme = theme;
    root.classList.toggle("dark", theme === "dark" || (theme === "auto" && dark.matches));
  };
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("hub:theme", apply);
  root.dataset.side = stored("hub-side") === "closed" ? "closed" : "open";
})();
