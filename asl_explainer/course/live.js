/*
 * Live figures: matplotlib's SVG, in which the lines follow sliders.
 *
 * Each figure embeds this file, then calls aslLive(name, program, facts).
 *
 * name      The id of the <figure>; the ids in its SVG start with it.
 * program   A function that takes the settings, { name: number }, and returns values, { name: number or Float64Array }.
 *           Python's to_javascript writes it from the torch function of the plot.
 * facts     What else the plot needs:
 *   settings   the initial value of each slider
 *   shapes     for each moving part of the SVG, its axes and whether its outline is closed: [x, y, closed].
 *              An axis is [offset, scale, log]. values[id] holds the x of all points, then their y.
 *   presets    the settings that each preset button sets
 *   reading    the sentence under the figure, with placeholders such as {peak_p:.3f} for values and settings
 *   readingAtZero  for a setting, the sentence to show while it is 0
 *   code       a line of Python, with placeholders such as {gamma_neg} for settings
 */
window.aslLive ??= (() => {
  // The figures of this page: for each name, a function that returns the settings that differ from the initial ones.
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

  function pathThrough(points, [x, y, closed]) {
    const count = points.length / 2;
    let path = "";
    for (let i = 0; i < count; i++) {
      const across = project(points[i], x);
      const down = project(points[count + i], y);
      if (!Number.isFinite(down)) continue;
      // Far outside the axes the exact place does not matter, but renderers fail on huge coordinates.
      const bounded = Math.max(-1e5, Math.min(1e5, down));
      path += `${path ? "L" : "M"}${across.toFixed(2)} ${bounded.toFixed(2)}`;
    }
    return closed ? `${path}Z` : path;
  }

  function drawShape(element, points, shape) {
    if (element.localName === "use") {
      // a marker: a single point
      element.setAttribute("x", project(points[0], shape[0]).toFixed(2));
      element.setAttribute("y", project(points[1], shape[1]).toFixed(2));
    } else {
      element.setAttribute("d", pathThrough(points, shape));
    }
  }

  // A logarithmic slider holds the exponent of ten.
  function readSlider(slider) {
    const value = Number(slider.value);
    return slider.dataset.log ? Number((10 ** value).toPrecision(3)) : value;
  }

  function writeSlider(slider, value) {
    const decimals = slider.step.split(".")[1]?.length ?? 0;
    const text = slider.dataset.log ? value.toExponential(1) : value.toFixed(decimals);
    slider.value = slider.dataset.log ? Math.log10(value) : value;
    slider.setAttribute("aria-valuetext", text);
    slider.nextElementSibling.textContent = text;
  }

  /** The number in a query, within the slider's range; the initial value if there is none. */
  function parseSetting(text, slider, initial) {
    const value = text?.trim() ? Number(text) : Number.NaN;
    if (Number.isNaN(value)) return initial;
    const [low, high] = [Number(slider.min), Number(slider.max)].map((x) => (slider.dataset.log ? 10 ** x : x));
    return Math.max(low, Math.min(high, value));
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

  // A screen reader should announce the reading once, not for each step of a drag, and browsers limit how often the
  // address may change: both wait until no slider has moved for a moment.
  let pause;
  function afterPause(task) {
    clearTimeout(pause);
    pause = setTimeout(task, 250);
  }

  return function aslLive(name, program, { settings: initial, shapes, presets, reading, readingAtZero, code }) {
    const root = document.getElementById(name);
    if (!root || figures.has(name)) return;
    const part = (role) => root.querySelector(`[data-live=${role}]`);
    const sliders = [...root.querySelectorAll("input[type=range]")];
    const elements = Object.keys(shapes).map((id) => {
      const group = root.querySelector(`[id="${name}-${id}"]`);
      return [id, group.querySelector("use") ?? group.querySelector("path")];
    });
    const settings = { ...initial };
    let drawRequested = false;

    function draw() {
      drawRequested = false;
      const values = program(settings);
      for (const [id, element] of elements) drawShape(element, values[id], shapes[id]);
      for (const slider of sliders) writeSlider(slider, settings[slider.name]);
      const zero = Object.keys(readingAtZero).find((key) => settings[key] === 0);
      const sentence = format(readingAtZero[zero] ?? reading, { ...values, ...settings });
      part("reading").textContent = sentence;
      part("code").textContent = format(code, settings);
      afterPause(() => {
        part("announced").textContent = sentence;
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
      const entries = sliders.map((slider) => {
        return [slider.name, parseSetting(query.get(slider.name), slider, initial[slider.name])];
      });
      change(Object.fromEntries(entries));
    }

    async function copy() {
      getSelection().selectAllChildren(part("code"));
      try {
        await navigator.clipboard.writeText(part("code").textContent);
        part("announced").textContent = "Copied";
      } catch {
        // A page may not be allowed to use the clipboard. The line is selected, so the reader can copy it.
      }
    }

    root.addEventListener("input", ({ target }) => change({ [target.name]: readSlider(target) }));
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button?.dataset.preset) change(presets[button.dataset.preset]);
      if (button?.dataset.live === "reset") change(initial);
      if (button?.dataset.live === "copy") copy();
    });
    addEventListener("hashchange", () => {
      if (location.hash.includes("?")) restore();
    });

    figures.set(name, () => {
      return Object.fromEntries(Object.entries(settings).filter(([key, value]) => value !== initial[key]));
    });
    // In JupyterLab the arrow keys would select cells.
    for (const control of root.querySelectorAll("input, button")) control.dataset.lmSuppressShortcuts = "true";
    root.querySelector("form").hidden = false;
    if (readAddress().has(name)) {
      restore();
      root.scrollIntoView();
    }
  };
})();
