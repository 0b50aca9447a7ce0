"use strict";

// Light or dark: as the system has it, or as the button was last set, where the browser keeps that for files.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // Not kept: the system's is as good a start.
  }

  function show() {
    root.dataset.theme = chosen ?? (system.matches ? "dark" : "light");
  }

  system.addEventListener("change", show);
  show();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => button.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
    button.hidden = false;
    button.addEventListener("click", () => {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("theme", chosen);
      } catch {
        // It holds until the page is closed.
      }
      show();
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  });
})();
