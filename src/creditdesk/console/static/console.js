/* Enhances pages that work without it: the search shortcut, menus that close, forms that submit once. */
"use strict";

const search = () => document.querySelector("[data-palette]");

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
  const palette = search();
  const wanted = (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey)
    || (event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey));
  if (wanted && palette) {
    event.preventDefault();
    palette.focus();
    palette.select();
  }
  if (event.key === "Escape") {
    closeMenus(null);
    document.querySelector("#palette")?.replaceChildren();
  }
  moveInPalette(event);
});

/* The up and down keys walk from the search field through its results. */
function moveInPalette(event) {
  const results = [...document.querySelectorAll("#palette a")];
  const at = results.indexOf(document.activeElement);
  if (!results.length || (at < 0 && document.activeElement !== search())) return;
  if (event.key === "ArrowDown") {
    event.preventDefault();
    results[Math.min(at + 1, results.length - 1)].focus();
  } else if (event.key === "ArrowUp" && at >= 0) {
    event.preventDefault();
    (results[at - 1] ?? search()).focus();
  }
}

function closeMenus(except) {
  for (const open of document.querySelectorAll("details.pop[open], details.phone-menu[open]")) {
    if (open !== except) open.removeAttribute("open");
  }
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  closeMenus(target?.closest("details.pop, details.phone-menu") ?? null);
  if (!target?.closest(".search")) document.querySelector("#palette")?.replaceChildren();
  const copied = target?.closest("[data-copy]");
  if (copied) {
    navigator.clipboard?.writeText(copied.dataset.copy);
    copied.classList.add("copied");
  }
});

function isChanged(field) {
  if (field instanceof HTMLSelectElement) {
    const first = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(first, 0);
  }
  return field.value !== field.defaultValue || field.checked !== field.defaultChecked;
}

/* What was entered before the scripts were there has its preview too. htmx begins to listen in a timer, which can run
   after the page has loaded; a timer set after it runs after it. */
setTimeout(() => {
  const fields = document.querySelectorAll("input:not([type=hidden]), select, textarea");
  for (const field of [...fields].filter(isChanged)) {
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
  }
});

/* A second click on a button of the same form is a mistake; the server would replay the answer anyway. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "post" && !form.hasAttribute("hx-post")) {
    setTimeout(() => form.querySelectorAll("button").forEach((button) => {
      if (!button.disabled) button.disabled = button.dataset.sent = true;
    }));
  }
});
/* A page that comes back from the browser's history can be sent again. */
window.addEventListener("pageshow", () => {
  document.querySelectorAll("button[data-sent]").forEach((button) => {
    button.disabled = false;
    delete button.dataset.sent;
  });
});

/* A page in the frame of another site reports its height, by which the site's script sizes the frame. */
if (window.parent !== window) {
  const content = document.querySelector("main");
  new ResizeObserver(() => {
    window.parent.postMessage({ creditdeskHeight: content.offsetTop + content.offsetHeight }, "*");
  }).observe(content);
}
