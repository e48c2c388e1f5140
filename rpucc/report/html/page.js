// What moves on the page of a plan: search, highlighting, arrays. Everything reads without it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
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
    const parts = [copy, group ? `group ${group}` : ""].filter(Boolean);
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
  // Arrays stand copy by copy: place and index of one in terms of arrays right and down.
  const indexAt = ({ cut: [each, columns, across] }, right, down) => {
    const rows = Math.ceil(each / columns);
    const [copyRight, copyDown] = [Math.floor(right / columns), Math.floor(down / rows)];
    const nth = (down % rows) * columns + (right % columns);
    return copyRight < across && nth < each ? (copyDown * across + copyRight) * each + nth : -1;
  };
  const placeOf = ({ cut: [each, columns, across] }, index) => {
    const [copy, nth, rows] = [Math.floor(index / each), index % each, Math.ceil(each / columns)];
    return [(copy % across) * columns + (nth % columns),
      Math.floor(copy / across) * rows + Math.floor(nth / columns)];
  };
  const scaleOf = (svg) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const arrayAt = (svg, x, y) => {
    const picture = data.pictures[svg.dataset.picture];
    const box = svg.getBoundingClientRect();
    const counts = [picture.cut[1], Math.ceil(picture.cut[0] / picture.cut[1])];
    const [right, down] = [x - box.left, y - box.top].map((at, k) => {
      const [step, copyStep] = [picture.steps[0][k], picture.steps[1][k]];
      const copy = Math.floor(at / scaleOf(svg) / copyStep);
      const nth = Math.floor((at / scaleOf(svg) - copy * copyStep) / step);
      return nth < counts[k] ? copy * counts[k] + nth : -1;
    });
    return right < 0 || down < 0 ? -1 : indexAt(picture, right, down);
  };
  for (const svg of all("svg.floor")) {
    const picture = data.pictures[svg.dataset.picture];
    const counts = [picture.cut[1], Math.ceil(picture.cut[0] / picture.cut[1])];
    let index = 0;
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const [right, down] = placeOf(picture, index).map((at, k) => at + steps[event.key][k]);
      const next = right < 0 || down < 0 ? -1 : indexAt(picture, right, down);
      if (picture.on[next]) index = next;
      tell();
    });
    const tell = () => {
      const box = svg.getBoundingClientRect();
      const [x, y] = placeOf(picture, index).map((at, k) => scaleOf(svg) *
        (Math.floor(at / counts[k]) * picture.steps[1][k] + (at % counts[k]) * picture.steps[0][k]));
      tips.show(describe(picture, index), box.left + x, box.top + y);
    };
    svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) tell(); });
    svg.addEventListener("blur", tips.hide);
  }

  document.addEventListener("pointerover", (event) => {
    highlight(event.target.closest("[data-layer]")?.dataset.layer);
  });
  tips.sources.unshift((event) => {
    const svg = event.target.closest("svg.floor");
    return svg && describe(data.pictures[svg.dataset.picture], arrayAt(svg, event.clientX, event.clientY));
  });
})();
