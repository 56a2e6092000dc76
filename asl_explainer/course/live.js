/*
 * Live figures: matplotlib's SVG, in which the lines follow sliders and menus.
 *
 * Each figure embeds this file, then calls aslLive(name, program, facts).
 * name      The id of the <figure>; the ids in its SVG start with it.
 * program   A function that takes the settings, { name: number }, and returns values, { name: number or Float64Array }.
 *           Python's to_javascript writes it from the torch function of the plot. It may return a reading, too.
 * facts     What else the plot needs:
 *   settings   the initial value of each slider and menu
 *   shapes     for each moving part of the SVG: [x, y, "line", "outline" or "dots"], or [x, y, "text", initial x, initial y].
 *              An axis is [offset, scale, log]. values[id] holds the x of all points, then their y.
 *   drags      for each marker that can be dragged sideways, the setting that is its x
 *   presets    the settings that each preset button sets
 *   reading    the sentence under the figure, with placeholders such as {peak_p:.3f} for values and settings
 *   readingAtZero  for a setting, the sentence to show while it is 0
 *   code       Python, with placeholders such as {gamma_neg} for settings
 *
 * The figure gets an event, "restored", when its settings have been read from the address.
 * aslLive returns functions that show the values once more, and that announce a text to screen readers.
 */
window.aslLive ??= (() => {
  // For each figure of this page, a function that returns the settings that differ from the initial ones.
  const figures = new Map();

  /** Fill in a Python template. A placeholder is {x}, {x:.3f}, {x:.1e} or {x:.4g}. */
  function format(template, values) {
    return template.replace(/\{(\w+)(?::\.(\d+)([efg]))?\}/g, (_, name, digits, type) => {
      const value = values[name];
      if (type === "f") return value.toFixed(digits);
      if (type === "e") return value.toExponential(digits);
      return String(Number(value.toPrecision(digits ?? 6)));
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
      const end = kind === "dots" ? "h0" : ""; // a line without length, but with round ends
      path += `${path && !end ? "L" : "M"}${across.toFixed(2)} ${bounded.toFixed(2)}${end}`;
    }
    return kind === "outline" ? `${path}Z` : path;
  }

  function drawShape(element, points, shape) {
    if (shape[2] === "text") {
      const [x, y, , startX, startY] = shape;
      const [across, down] = [project(points[0], x) - project(startX, x), project(points[1], y) - project(startY, y)];
      element.setAttribute("transform", `translate(${across.toFixed(2)} ${down.toFixed(2)})`);
    } else if (element.localName === "use") {
      // a marker: a single point
      element.setAttribute("x", project(points[0], shape[0]).toFixed(2));
      element.setAttribute("y", project(points[1], shape[1]).toFixed(2));
    } else {
      element.setAttribute("d", pathThrough(points, shape));
    }
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
    const text = control.dataset.log ? value.toExponential(1) : value.toFixed(decimals);
    control.setAttribute("aria-valuetext", text);
    control.nextElementSibling.textContent = text;
  }

  /** The number in a query, moved to the nearest one that the control can have; the initial value if there is none. */
  function parseSetting(text, control, initial) {
    const value = text?.trim() ? Number(text) : Number.NaN;
    if (control.localName === "select") return control.options[value] ? value : initial;
    if (Number.isNaN(value)) return initial;
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
    const parts = [...figures]
      .map(([name, changedSettings]) => [name, new URLSearchParams(changedSettings()).toString()])
      .filter(([, query]) => query)
      .map(([name, query]) => `${name}?${query}`);
    // Without settings to write, an address such as #a-heading stays as it is.
    if (parts.length === 0 && !location.hash.includes("?")) return;
    const address = parts.length ? `#${parts.join(";")}` : location.pathname + location.search;
    history.replaceState(history.state, "", address);
  }

  // The reading is announced, and the address changed, once no slider has moved for a moment.
  let pause;
  function afterPause(task) {
    clearTimeout(pause);
    pause = setTimeout(task, 250);
  }

  return function aslLive(name, program, { settings: initial, shapes, drags, presets, reading, readingAtZero, code }) {
    const root = document.getElementById(name);
    if (!root || figures.has(name)) return;
    const part = (role) => root.querySelector(`[data-live=${role}]`);
    const controls = [...root.querySelectorAll("input[type=range], select")];
    const elements = Object.keys(shapes).map((id) => {
      const group = root.querySelector(`[id="${name}-${id}"]`);
      return [id, shapes[id][2] === "text" ? group : (group.querySelector("use") ?? group.querySelector("path"))];
    });
    const settings = { ...initial };
    let drawRequested = false;

    function announce(text) {
      part("announced").textContent = text;
    }

    /** Draw what the program returns now; returns the reading. */
    function show() {
      const values = program(settings);
      for (const [id, element] of elements) if (values[id]) drawShape(element, values[id], shapes[id]);
      const zero = Object.keys(readingAtZero).find((key) => settings[key] === 0);
      const sentence = format(values.reading ?? readingAtZero[zero] ?? reading, { ...values, ...settings });
      part("reading").textContent = sentence;
      return sentence;
    }

    function draw() {
      drawRequested = false;
      for (const control of controls) writeControl(control, settings[control.name]);
      part("code").textContent = format(code, settings);
      const sentence = show();
      afterPause(() => {
        announce(sentence);
        writeAddress();
      });
    }

    function change(changes) {
      Object.assign(settings, changes);
      if (!drawRequested) requestAnimationFrame(draw);
      drawRequested = true;
    }

    function restore() {
      const query = readAddress().get(name) ?? new URLSearchParams();
      const entries = controls.map((control) => {
        return [control.name, parseSetting(query.get(control.name), control, initial[control.name])];
      });
      change(Object.fromEntries(entries));
      root.dispatchEvent(new Event("restored"));
    }

    async function copy() {
      getSelection().selectAllChildren(part("code"));
      try {
        await navigator.clipboard.writeText(part("code").textContent);
        announce("Copied");
      } catch {
        // Without permission the line is selected, so the reader can copy it.
      }
    }

    // The control keeps the marker within its range.
    function makeDraggable(marker, [offset, scale], control) {
      marker.classList.add("asl-draggable");
      marker.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        marker.setPointerCapture(event.pointerId);
      });
      marker.addEventListener("pointermove", ({ pointerId, clientX }) => {
        if (!marker.hasPointerCapture(pointerId)) return;
        const across = new DOMPoint(clientX, 0).matrixTransform(marker.ownerSVGElement.getScreenCTM().inverse()).x;
        control.value = (across - offset) / scale;
        change({ [control.name]: readControl(control) });
      });
    }

    for (const [id, element] of elements) {
      if (drags[id]) makeDraggable(element, shapes[id][0], root.querySelector(`[name="${drags[id]}"]`));
    }
    root.addEventListener("input", ({ target }) => change({ [target.name]: readControl(target) }));
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button?.dataset.preset) change(presets[button.dataset.preset]);
      if (button?.dataset.live === "reset") change(initial);
      if (button?.dataset.live === "copy") copy();
    });
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

    figures.set(name, () => {
      return Object.fromEntries(Object.entries(settings).filter(([key, value]) => value !== initial[key]));
    });
    // In JupyterLab the arrow keys would select cells.
    for (const control of root.querySelectorAll("input, select, button")) control.dataset.lmSuppressShortcuts = "true";
    root.querySelector("form").hidden = false;
    if (readAddress().has(name)) {
      restore();
      root.scrollIntoView();
    }
    return { show, announce };
  };
})();
