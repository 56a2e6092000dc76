/*
 * Live figures: matplotlib's SVG, in which the lines follow sliders and menus. live_figure.py writes the figures.
 *
 * root      The <figure>; the ids in its drawings start with its id, and its data-facts are Figure's facts in Python.
 *           Of facts.shapes, an axis is [offset, scale, log]: [x, y, kind], or [x, y, "text", initial x, initial y].
 * program   A function of the settings that returns values: a number, or the x of all points of a shape, then their y.
 *           It may return a reading, too.
 *
 * The figure gets an event, "restored", when its settings have been read from the address.
 */

// For each figure of this page its name in the address, and the settings that differ from the initial ones.
const addressed = new Map();
// The address of a Jupyter application is not a figure's to write.
const inJupyter = document.getElementById("jupyter-config-data") !== null;

function freshId() {
  return `asl-${Math.random().toString(36).slice(2)}`;
}

/** As Python's _number in live_figure.py: no minus before a zero, no zero before an exponent. */
function formatNumber(value, digits, type) {
  if (type === "f") return value.toFixed(digits).replace(/^-(?=[0.]+$)/, "");
  if (type === "e") return value.toExponential(digits);
  const text = value.toExponential(digits - 1);
  const exponent = Number(text.split("e")[1]);
  return exponent < -4 || exponent >= digits ? text.replace(/\.?0+(?=e)/, "") : String(Number(text));
}

/** Fill in a Python template. A placeholder is {x}, {x:.3f}, {x:.1e} or {x:.4g}, or {x:s} for the option that x chooses. */
function format(template, values, options = {}) {
  return template.replace(/\{(\w+)(?::(?:\.(\d+))?([efgs]))?\}/g, (_, name, digits, type) => {
    return type === "s" ? options[name][values[name]] : formatNumber(values[name], Number(digits ?? 6), type ?? "g");
  });
}

/** From data coordinates to SVG coordinates. */
function project(value, [offset, scale, log]) {
  return offset + scale * (log ? Math.log10(value) : value);
}

function pathThrough(points, [x, y, kind]) {
  const count = points.length / 2;
  let path = "";
  for (let i = 0; i < count; i++) {
    const across = project(points[i], x);
    const down = project(points[count + i], y);
    if (!Number.isFinite(across + down)) continue;
    // Far outside the axes the exact place does not matter, but renderers fail on huge coordinates.
    const bounded = Math.max(-1e5, Math.min(1e5, down));
    const end = kind === "dots" ? "h0" : ""; // a line without length, but with ends
    path += `${path && !end ? "L" : "M"}${across.toFixed(2)} ${bounded.toFixed(2)}${end}`;
  }
  return kind === "outline" ? `${path}Z` : path;
}

function drawShape(group, points, shape, handle) {
  const [x, y, kind, startX, startY] = shape;
  if (kind !== "text") {
    group.querySelector("path").setAttribute("d", pathThrough(points, shape));
    return handle && placeHandle(handle, group);
  }
  const [across, down] = [project(points[0], x) - project(startX, x), project(points[1], y) - project(startY, y)];
  group.setAttribute("transform", `translate(${across.toFixed(2)} ${down.toFixed(2)})`);
}

/** What shows that a marker can be dragged, and takes the pointer: arrows to both sides, in an area for a finger. */
function makeHandle(group) {
  const handle = document.createElementNS("http://www.w3.org/2000/svg", "g");
  handle.setAttribute("class", "asl-handle");
  handle.innerHTML = '<circle r="17"/><path d="M-8-3l-3 3l3 3M8-3l3 3l-3 3"/>';
  group.ownerSVGElement.append(handle);
  placeHandle(handle, group);
  return handle;
}

function placeHandle(handle, group) {
  const [x, y] = group.querySelector("path").getAttribute("d").match(/[-\d.]+/g);
  handle.setAttribute("transform", `translate(${x} ${y})`);
}

function make(tag, properties, ...children) {
  const { dataset, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  Object.assign(element.dataset, dataset);
  element.append(...children);
  return element;
}

/** A control with its name; a slider also has its value, and at its ends the values that it can have there. */
function makeControl({ name, label, options, low, high, step, log }) {
  const id = freshId();
  const row = make("div", { className: "asl-control" }, make("label", { htmlFor: id, textContent: label }));
  if (options) {
    const choices = options.map((text, value) => make("option", { value, textContent: text }));
    row.append(make("select", { id, name }, ...choices));
    return row;
  }
  const dataset = log ? { log: "1" } : {};
  const slider = make("input", { type: "range", id, name, min: low, max: high, step, dataset });
  const ends = [low, high].map((end) => (log ? formatNumber(10 ** end, 1, "g") : String(end)));
  row.append(slider, make("output", { htmlFor: id, ariaLive: "off" }));
  row.append(...ends.map((textContent) => make("span", { ariaHidden: "true", textContent })));
  return row;
}

function makeForm({ controls, drags = {}, presets, actions = {} }) {
  const dragged = new Set(Object.values(drags));
  const rows = (inDrawing) => controls.filter(({ name }) => dragged.has(name) === inDrawing).map(makeControl);
  const button = (textContent, dataset) => make("button", { type: "button", textContent, dataset });
  const row = (...buttons) => make("div", { className: "asl-buttons" }, ...buttons);
  const form = make("form", { className: "asl-controls", autocomplete: "off" });
  const before = Object.entries(actions).map(([play, text]) => button(text, { play }));
  form.append(...(before.length ? [row(...before)] : []), ...rows(false));
  if (dragged.size) {
    const moves = make("div", { className: "asl-controls" }, ...rows(true));
    form.append(make("details", {}, make("summary", { textContent: "Move the labels" }), moves));
  }
  const of = Object.keys(presets).map((preset) => button(preset, { preset }));
  if (of.length) form.append(row(...of));
  form.append(row(button("Reset", { live: "reset" }), button("Copy as Python", { live: "copy" })));
  // In JupyterLab the arrow keys would select cells.
  for (const part of form.querySelectorAll("input, select, button")) part.dataset.lmSuppressShortcuts = "true";
  return form;
}

// A logarithmic slider holds the exponent of ten.
function readControl(control) {
  const value = Number(control.value);
  return control.dataset.log ? Number((10 ** value).toPrecision(3)) : value;
}

function writeControl(control, value) {
  control.value = control.dataset.log ? Math.log10(value) : value;
  if (control.localName === "select") return;
  const decimals = control.step.split(".")[1]?.length ?? 0;
  const text = control.dataset.log ? formatNumber(value, 2, "g") : formatNumber(value, decimals, "f");
  control.style.setProperty("--part", (control.value - control.min) / (control.max - control.min));
  control.setAttribute("aria-valuetext", text);
  control.nextElementSibling.textContent = text;
}

/** A value, moved into the range of its control; undefined if it is no value of a menu. */
function withinRange(value, control) {
  if (control.localName === "select") return control.options[value] && value;
  const [low, high] = [control.min, control.max].map((end) => (control.dataset.log ? 10 ** end : Number(end)));
  return Math.max(low, Math.min(high, value));
}

/** The number in a query, moved to the nearest one that the control can have; the initial value if there is none. */
function parseSetting(text, control, initial) {
  const value = text?.trim() ? withinRange(Number(text), control) : Number.NaN;
  if (value === undefined || Number.isNaN(value)) return initial;
  if (control.localName === "select") return value;
  control.value = control.dataset.log ? Math.log10(value) : value;
  return readControl(control);
}

// The address holds the settings of every figure that differ from the initial ones:
// #one-figure?gamma_neg=2&clip=0.2;another?eps=0.1
function readAddress() {
  const parts = location.hash.slice(1).split(";");
  return new Map(parts.map((part) => part.split("?")).map(([name, query]) => [name, new URLSearchParams(query)]));
}

function writeAddress() {
  const parts = [...addressed.values()]
    .map(([name, changedSettings]) => [name, new URLSearchParams(changedSettings()).toString()])
    .filter(([, query]) => query)
    .map(([name, query]) => `${name}?${query}`);
  // Without settings to write, an address such as #a-heading stays as it is.
  if (parts.length === 0 && !location.hash.includes("?")) return;
  const address = parts.length ? `#${parts.join(";")}` : location.pathname + location.search;
  history.replaceState(history.state, "", address);
}

/** Give the drawings ids of their own if the page holds the same figure twice. */
function ownIds(root) {
  if (![...document.querySelectorAll(`[id="${root.id}"]`)].some((other) => other !== root)) return;
  const [panels, old] = [root.querySelector(".asl-panels"), root.id];
  root.id = freshId();
  panels.innerHTML = panels.innerHTML.replaceAll(new RegExp(`(?<=["#])${old}-`, "g"), `${root.id}-`);
}

// The reading is announced, and the address changed, once no slider has moved for a moment.
let pause;
function afterPause(task) {
  clearTimeout(pause);
  pause = setTimeout(task, 250);
}

function liveFigure(root, program) {
  const facts = JSON.parse(root.dataset.facts);
  const { settings: initial, shapes, drags = {}, presets, reading, readingAtZero = {}, code, script, options } = facts;
  const name = root.id;
  ownIds(root);
  const part = (role) => root.querySelector(`[data-live=${role}]`);
  const form = makeForm(facts);
  part("reading").before(form);
  const controls = [...form.querySelectorAll("input, select")];
  const groups = Object.keys(shapes).map((id) => {
    const group = root.querySelector(`[id="${root.id}-${id}"]`);
    return { id, group, shape: shapes[id], handle: drags[id] && makeHandle(group) };
  });
  const settings = { ...initial };
  let drawRequested = false;

  function announce(text) {
    part("announced").textContent = text;
  }

  function writeControls() {
    for (const control of controls) writeControl(control, settings[control.name]);
    for (const { name, when } of facts.controls) {
      if (when) form.elements[name].parentElement.hidden = settings[when[0]] !== when[1];
    }
  }

  /** Draw what the program returns now; returns the reading. */
  function show() {
    const values = program(settings);
    for (const { id, group, shape, handle } of groups) if (values[id]) drawShape(group, values[id], shape, handle);
    const zero = Object.keys(readingAtZero).find((key) => settings[key] === 0);
    const sentence = format(values.reading ?? readingAtZero[zero] ?? reading, { ...values, ...settings }, options);
    part("reading").textContent = sentence;
    return sentence;
  }

  function draw() {
    drawRequested = false;
    writeControls();
    part("code").textContent = format(code, settings, options);
    const sentence = show();
    afterPause(() => {
      announce(sentence);
      if (addressed.has(root)) writeAddress();
    });
  }

  function change(changes) {
    Object.assign(settings, changes);
    if (!drawRequested) requestAnimationFrame(draw);
    drawRequested = true;
    root.dispatchEvent(new CustomEvent("changed", { detail: changes }));
  }

  function restore() {
    const query = readAddress().get(name) ?? new URLSearchParams();
    const entries = controls.map((control) => {
      return [control.name, parseSetting(query.get(control.name), control, initial[control.name])];
    });
    change(Object.fromEntries(entries));
    root.dispatchEvent(new Event("restored"));
  }

  async function copy(button) {
    const python = format(script.replace("{code}", () => code), { ...program(settings), ...settings }, options);
    try {
      await navigator.clipboard.writeText(python);
    } catch {
      // Without permission the code is selected, so the reader can copy it.
      part("code").textContent = python;
      getSelection().selectAllChildren(part("code"));
      return announce("Selected");
    }
    announce("Copied");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy as Python"), 2000);
  }

  // The control keeps the marker within its range.
  function makeDraggable(handle, [offset, scale], control) {
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", ({ pointerId, clientX }) => {
      if (!handle.hasPointerCapture(pointerId)) return;
      const across = new DOMPoint(clientX, 0).matrixTransform(handle.ownerSVGElement.getScreenCTM().inverse()).x;
      control.value = (across - offset) / scale;
      change({ [control.name]: readControl(control) });
    });
  }

  for (const { id, shape, handle } of groups) {
    if (handle) makeDraggable(handle, shape[0], form.elements[drags[id]]);
  }
  writeControls();
  form.addEventListener("input", ({ target }) => change({ [target.name]: readControl(target) }));
  form.addEventListener("click", ({ target }) => {
    const { preset, live } = target.dataset;
    if (preset) change(presets[preset]);
    if (live === "reset") change(initial);
    if (live === "copy") copy(target);
  });
  const figure = { show, announce, change, controls, settings, initial };
  // The widget's module, widget.js, waits for the figures that are displayed.
  root.figure = figure;
  root.dispatchEvent(new Event("asl-figure", { bubbles: true }));
  if (inJupyter) return figure;

  addressed.set(root, [
    name,
    () => Object.fromEntries(Object.entries(settings).filter(([key, value]) => value !== initial[key])),
  ]);
  addEventListener("hashchange", () => {
    if (!location.hash || location.hash.includes("?")) restore();
    if (readAddress().has(name)) root.scrollIntoView();
  });
  // A link to the present address restores the settings that it names, too.
  document.addEventListener("click", ({ target }) => {
    const link = target.closest(`a[href^="#${name}?"]`);
    if (link?.hash !== location.hash) return;
    restore();
    root.scrollIntoView();
  });
  if (readAddress().has(name)) {
    restore();
    root.scrollIntoView();
  }
  return figure;
}
