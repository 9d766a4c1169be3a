// A plain script in the head, so that the theme is set before anything is drawn.
(() => {
  const KEY = "theme";
  const MODES = ["auto", "light", "dark"];
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      const mode = localStorage.getItem(KEY);
      return MODES.includes(mode) ? mode : "auto";
    } catch {
      return "auto";
    }
  }

  let mode = stored();

  function apply() {
    const dark = mode === "dark" || (mode === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const button = document.getElementById("theme-switch");
    if (!button) return;
    button.setAttribute("aria-label", button.dataset[mode]);
    button.title = button.dataset[mode];
    button.querySelector("use").setAttribute("href", `/static/icons.svg#theme-${mode}`);
  }

  function next() {
    mode = MODES[(MODES.indexOf(mode) + 1) % MODES.length];
    try {
      localStorage.setItem(KEY, mode);
    } catch {
      // Without storage the choice holds for this screen.
    }
    apply();
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme-switch")?.addEventListener("click", next);
  });
})();
