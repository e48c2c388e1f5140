"use strict";
// The tip: what an element's <title> or data-tip says, at once and by keyboard too.
const tips = (() => {
  const tip = document.getElementById("tip");
  const sources = [(event) => event.target.closest("[data-tip]")?.dataset.tip];
  for (const e of document.querySelectorAll("svg title")) {
    if (e.parentNode.tagName === "svg") continue;
    e.parentNode.dataset.tip = e.textContent;
    e.parentNode.setAttribute("aria-label", e.textContent);
    e.remove();
  }
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
  };
  const hide = () => { tip.hidden = true; };
  document.addEventListener("pointermove", (event) => {
    const text = sources.map((source) => source(event)).find(Boolean);
    if (text) show(text, event.clientX, event.clientY); else hide();
  });
  document.addEventListener("focusin", (event) => {
    const e = event.target.closest("[data-tip]");
    if (!e || !e.matches(":focus-visible")) return;
    const box = e.getBoundingClientRect();
    show(e.dataset.tip, box.left, box.bottom - 10);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("beforeprint", () => {
    for (const e of document.querySelectorAll("details")) e.open = true;
  });
  return { show, hide, sources };
})();
