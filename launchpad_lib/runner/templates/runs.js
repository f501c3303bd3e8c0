// Filters the runs, draws the course of a number over them, and holds two of them against each other.
(async () => {
  const kept = document.getElementById("runs_data");
  if (!kept || !("DecompressionStream" in window)) return;
  const bytes = Uint8Array.from(atob(kept.textContent.trim()), (c) => c.charCodeAt(0));
  const { keys, params, runs } = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  const find = (id) => document.getElementById(id);
  const made = (name, properties, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const drawn = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const written = (value, unit) => {
    if (value === null || value === undefined) return "–";
    const number = Number(value.toPrecision(4));
    const text = unit === "fraction" ? `${(100 * value).toFixed(1)} %` : unit === "points" ? `${(100 * value).toFixed(1)} points` : `${number.toLocaleString("en-US")}${unit === "count" || unit === "score" ? "" : ` ${unit}`}`;
    return text.replace("-", "−");
  };
  const said = (number, unit) => {
    if (!number) return "not there";
    if (number[4]) return `refused: ${number[4]}`;
    const [value, low, high] = number.slice(0, 3).map((limit) => written(limit, unit));
    const first = low.split(" ")[1] === high.split(" ")[1] ? low.split(" ")[0] : low;
    return `${value}${number[1] === null || number[2] === null ? "" : ` (${first} to ${high})`}`;
  };
  const table = (caption, heads, rows) =>
    made("table", {}, made("caption", { textContent: caption }), made("thead", {}, made("tr", {}, ...heads.map((head) => made("th", { scope: "col", textContent: head })))),
      made("tbody", {}, ...rows.map((row) => made("tr", {}, ...row.map((text, k) => made(k ? "td" : "th", { textContent: text, ...(k ? {} : { scope: "row" }) }))))));
  const rows = [...document.querySelectorAll("tr[data-run]")];
  find("tools").hidden = false;
  // Filter
  const filter = () => {
    const words = find("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = find("status").value;
    let count = 0;
    for (const row of rows) {
      const isIn = (!status || row.dataset.status === status) && words.every((word) => row.dataset.words.includes(word));
      row.hidden = !isIn;
      count += isIn ? 1 : 0;
    }
    const older = find("older");
    if (older && (words.length || status)) older.open = true;
    find("count").textContent = `${count} of ${rows.length} runs`;
  };
  find("filter").addEventListener("input", filter);
  find("status").addEventListener("change", filter);
  // The course of a number
  const course = () => {
    const [name, key] = [find("of").value, Number(find("metric").value)];
    const { label, unit } = keys[key];
    const points = runs.filter((run) => run.name === name && run.numbers[key]).reverse();
    const known = points.filter((run) => run.numbers[key][0] !== null);
    const limits = known.flatMap((run) => run.numbers[key].slice(0, 3)).filter((value) => value !== null);
    const [bottom, most] = [Math.min(0, ...limits), Math.max(0, ...limits)];
    const top = most > bottom ? most : bottom + 1;
    const [width, height, left] = [720, 220, 70];
    const x = (k) => left + 10 + ((width - left - 30) * k) / Math.max(known.length - 1, 1);
    const y = (value) => height - 30 - ((height - 45) * (value - bottom)) / (top - bottom);
    const extremes = known.length ? `, from ${written(known[0].numbers[key][0], unit)} in ${known[0].folder} to ${written(known.at(-1).numbers[key][0], unit)} in ${known.at(-1).folder}` : "";
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label} over ${known.length} runs${extremes}` });
    for (const level of [bottom, (bottom + top) / 2, top]) {
      svg.append(drawn("line", { class: "hair", x1: left, x2: width, y1: y(level), y2: y(level) }), drawn("text", { x: left - 6, y: y(level) + 4, "text-anchor": "end" }, written(level, unit)));
    }
    svg.append(drawn("polyline", { class: "ln", points: known.map((run, k) => `${x(k)},${y(run.numbers[key][0])}`).join(" ") }));
    for (const [k, run] of known.entries()) {
      const [value, low, high] = run.numbers[key];
      if (low !== null && high !== null) svg.append(drawn("line", { class: "ci", x1: x(k), x2: x(k), y1: y(low), y2: y(high) }));
      const dot = drawn("circle", { class: "dot", cx: x(k), cy: y(value), r: 3 });
      dot.append(drawn("title", {}, `${run.folder}: ${said(run.numbers[key], unit)}`));
      svg.append(dot);
    }
    for (const [k, anchor] of [[0, "start"], [known.length - 1, "end"]]) if (known[k]) svg.append(drawn("text", { x: x(k), y: height - 8, "text-anchor": anchor }, known[k].started_at.slice(0, 10)));
    const shown = points.slice(-200).reverse().map((run) => [run.folder, run.started_at.slice(0, 16).replace("T", " "), said(run.numbers[key], unit), String(run.numbers[key][3] ?? "–")]);
    find("course").replaceChildren(known.length ? svg : made("p", { textContent: "No run has a value of it." }), made("details", {}, made("summary", { textContent: "The numbers" }), made("div", { className: "scroll", tabIndex: 0 }, table(label, ["run", "started (UTC)", "value, 95 % interval", "n"], shown))));
  };
  const choose = () => {
    const name = find("of").value;
    const there = keys.map((key, place) => [key, place]).filter(([, place]) => runs.some((run) => run.name === name && run.numbers[place]));
    find("metric").replaceChildren(...there.map(([key, place]) => made("option", { value: place, textContent: `${key.page}: ${key.label}${key.segment ? `, ${key.segment}` : ""}` })));
    if (there.length) course();
    else find("course").replaceChildren(made("p", { textContent: "No run of that name has numbers." }));
  };
  find("of").append(...[...new Set(runs.map((run) => run.name))].map((name) => made("option", { value: name, textContent: name || "(no name)" })));
  find("of").addEventListener("change", choose);
  find("metric").addEventListener("change", course);
  find("history").addEventListener("toggle", choose, { once: true });
  // Two runs
  const compare = () => {
    const picked = [...document.querySelectorAll("input[data-pick]:checked")].map((box) => runs.find((run) => run.folder === box.dataset.pick));
    const place = find("compared");
    if (picked.length !== 2) {
      place.replaceChildren(made("p", { className: "quiet", textContent: picked.length > 2 ? "Choose two runs, no more." : "Choose two runs in the table." }));
      return;
    }
    const [one, other] = picked.sort((a, b) => (a.started_at < b.started_at ? -1 : 1));
    const [first, second] = [params[one.params], params[other.params]];
    const differing = [...new Set([...Object.keys(first), ...Object.keys(second)])].filter((name) => first[name] !== second[name]).map((name) => [name, first[name] ?? "not there", second[name] ?? "not there"]);
    const numbers = keys.map((key, k) => [key, one.numbers[k], other.numbers[k]]).filter(([, a, b]) => a || b);
    const same = ([, a, b]) => JSON.stringify(a) === JSON.stringify(b);
    const moved = numbers.filter((row) => !same(row)).map(([key, a, b]) => [`${key.page}: ${key.label}${key.segment ? `, ${key.segment}` : ""}`, said(a, key.unit), said(b, key.unit)]);
    const heads = [one.folder, other.folder];
    place.replaceChildren(
      made("p", { textContent: `${numbers.length - moved.length} numbers are the same, ${moved.length} differ; ${differing.length} parameters differ. Runs that share data have no interval of their difference.` }),
      ...(differing.length ? [made("div", { className: "scroll", tabIndex: 0 }, table("Parameters that differ", ["parameter", ...heads], differing))] : []),
      ...(moved.length ? [made("div", { className: "scroll", tabIndex: 0 }, table("Numbers that differ", ["number", ...heads], moved))] : []),
    );
  };
  for (const box of document.querySelectorAll("input[data-pick]")) box.addEventListener("change", compare);
  compare();
  filter();
  document.documentElement.dataset.ready = "yes";
})().catch((error) => console.warn("the runs stay a plain list:", error));
