"use strict";
// What moves on the page: search, highlighting, the tip. Everything reads without it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const all = (selector) => [...document.querySelectorAll(selector)];

  // Search: a row or figure stays while one of its layers matches.
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const layersOf = (e) => (e.dataset.layers ?? e.dataset.layer).split(" ").map(Number);
  const marked = all("[data-layer], [data-layers]").map((e) => [e, layersOf(e)]);
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hit = data.layers.map((name) => words.every((w) => name.toLowerCase().includes(w)));
    for (const [e, layers] of marked) e.classList.toggle("dim", !layers.some((i) => hit[i]));
    const count = hit.filter(Boolean).length;
    found.textContent = words.length ? `${count} of ${hit.length}` : "";
  });

  // The tip: what an element's <title> or data-tip says, at once and by keyboard too.
  for (const e of all("svg title")) {
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
  const highlight = (layer) => {
    for (const e of all(".on")) e.classList.remove("on");
    if (layer !== undefined)
      for (const [e, layers] of marked)
        if (layers.length === 1 && layers[0] === Number(layer)) e.classList.add("on");
  };

  // Arrays: which one is at a place of a picture, and what lies on it.
  const range = (cuts, i) => `${cuts[i]}…${cuts[i + 1] - 1}`;
  const block = ([layer, copy, group, row, col, atRow, atCol]) => {
    const [rows, cols] = data.cuts[layer];
    const parts = [copy ? `copy ${copy}` : "", group ? `group ${group}` : ""].filter(Boolean);
    const name = [data.layers[layer], ...parts].join(", ");
    const at = atRow || atCol ? `, at row ${atRow}, column ${atCol}` : "";
    return `${name}: rows ${range(rows, row)}, columns ${range(cols, col)}${at}`;
  };
  const describe = (picture, index) => {
    const on = picture.on[index];
    if (on === undefined) return null;
    const blocks = on.slice(1, 9).map(block);
    if (on.length > 9) blocks.push(`and ${on.length - 9} more blocks`);
    return [`array ${picture.kind} ${on[0]}`, ...blocks].join("\n");
  };
  const arrayAt = (svg, x, y) => {
    const picture = data.pictures[svg.dataset.picture];
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const col = Math.floor(((x - box.left) * scale) / picture.step[0]);
    const row = Math.floor(((y - box.top) * scale) / picture.step[1]);
    return col < picture.across ? row * picture.across + col : -1;
  };
  for (const svg of all("svg.floor")) {
    const picture = data.pictures[svg.dataset.picture];
    let index = 0;
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: picture.across, ArrowUp: -picture.across };
      if (!(event.key in step)) return;
      event.preventDefault();
      index = Math.max(0, Math.min(index + step[event.key], picture.on.length - 1));
      tell();
    });
    const tell = () => {
      const box = svg.getBoundingClientRect();
      const scale = box.width / svg.viewBox.baseVal.width;
      const [row, col] = [Math.floor(index / picture.across), index % picture.across];
      show(describe(picture, index), box.left + col * picture.step[0] * scale,
        box.top + row * picture.step[1] * scale);
    };
    svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) tell(); });
    svg.addEventListener("blur", hide);
  }

  document.addEventListener("pointerover", (event) => {
    highlight(event.target.closest("[data-layer]")?.dataset.layer);
  });
  document.addEventListener("pointermove", (event) => {
    const svg = event.target.closest("svg.floor");
    const text = svg
      ? describe(data.pictures[svg.dataset.picture], arrayAt(svg, event.clientX, event.clientY))
      : event.target.closest("[data-tip]")?.dataset.tip;
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
  addEventListener("beforeprint", () => { for (const e of all("details")) e.open = true; });
})();
