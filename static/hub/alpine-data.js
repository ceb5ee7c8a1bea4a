/* What the admin theme's own pages (lists and forms of plain models) evaluate with Alpine. Its CSP build knows no globals of the page,
   so they are handed to it here, before it starts. */
document.addEventListener("alpine:init", () => {
  const { Alpine } = window;
  const hidesScroll = (open) => document.body.classList.toggle("overflow-hidden", open);

  Alpine.data("theme", () => ({
    openModal: false,
    filterOpen: false,
    openAllApplications: false,
    init() {
      for (const name of ["openModal", "filterOpen", "openAllApplications"]) this.$watch(name, hidesScroll);
    },
  }));

  Alpine.data("hubShell", (tab) => ({
    activeTab: tab,
    sidebarMobileOpen: false,  // the theme's bars at the foot of forms keep clear of the sidebar
    sidebarDesktopOpen: document.documentElement.dataset.side !== "closed",
    init() {
      this.activeTab = (tab && location.hash.slice(1)) || tab;
      addEventListener("hub:side", () => { this.sidebarDesktopOpen = document.documentElement.dataset.side !== "closed"; });
    },
    get formAction() { return tab ? `#${this.activeTab}` : ""; },
    moveRecords(event) { return window.moveRecords(event); },
    sortRecords(event) { return window.sortRecords(event); },
  }));

  for (const name of ["searchForm", "searchDropdown"]) {
    if (window[name]) Alpine.data(name, window[name]);
  }
});
