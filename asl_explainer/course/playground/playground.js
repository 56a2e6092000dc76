/*
 * The playground: two trainings side by side, A and B, shown by a live figure.
 *
 * Each playground embeds live.js and this file, sets window.aslWorld, then calls aslPlayground(live, root).
 *
 * aslWorld.programs  Functions that make a program. Python's to_javascript writes the programs from torch functions.
 *                      begin    labels of the training and test points, and the initial weights of both
 *                      outline  the border of a label's region
 *                      look     what the views show of a network
 *                      test     the logits of test points
 *                      step-ASL, pull-ASL and so on: a step of training with a loss, and the gradient of a batch
 * aslWorld.data      The world, as torch drew it: arrays in base64, the uniforms as decimal digits.
 * aslWorld.recorded  A recorded run at the initial settings: for each side the weights after it, and its scores.
 *
 * live      The function liveFigure of live.js.
 * root      The <figure>. Its data-facts are what liveFigure needs, and:
 *   losses    the options of the menus of losses
 *   played    for each loss that the sliders make, from the first to ASL, the settings that the menu sets
 *   colors    of each loss
 *   speeds    steps a second, for each option of the menu
 *   readings  the sentences, by name
 *   sizes     numbers: labels, batch, test points scored at a time, side of the shaded grid, steps, first rare label
 */
window.aslPlayground ??= (() => {
  const SIDES = ["a", "b"];
  const SCORE_EVERY = 20; // steps
  const TRAINING_TIME = 7; // milliseconds of each frame
  const SCORING_TIME = 4; // at most this much of it
  const ANNOUNCE_EVERY = 10_000; // milliseconds
  const OF_LOSS = ["gamma_neg", "gamma_pos", "clip"];
  const OF_TRAINING = ["loss", ...OF_LOSS, "learning_rate"];

  function unpack(text, Numbers) {
    return Float64Array.from(new Numbers(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer));
  }

  function takeRows(matrix, width, rows) {
    const result = new Float64Array(rows.length * width);
    rows.forEach((row, n) => result.set(matrix.subarray(row * width, (row + 1) * width), n * width));
    return result;
  }

  function takeColumn(matrix, width, column) {
    return new Float64Array(matrix.length / width).map((_, row) => matrix[row * width + column]);
  }

  function mean(numbers) {
    return numbers.reduce((total, number) => total + number, 0) / numbers.length;
  }

  /** The mean, over the positives, of the precision among all that score at least as high. */
  function averagePrecision(scores, labels) {
    const positives = scores.filter((_, n) => labels[n]).sort().reverse();
    const negatives = scores.filter((_, n) => !labels[n]).sort().reverse();
    let total = 0;
    let above = 0; // the negatives that score at least as high as the positive
    let ties = 0; // the positives that do, likewise
    positives.forEach((score) => {
      while (negatives[above] >= score) above++;
      while (positives[ties] >= score) ties++;
      total += ties / (ties + above);
    });
    return total / positives.length;
  }

  /** The settings of one side without their prefix, a_ or b_. */
  function ofSide(side, settings, names) {
    return Object.fromEntries(names.map((name) => [name, settings[`${side}_${name}`]]));
  }

  function createTraining(programs) {
    const made = {}; // programs that were needed so far; each keeps its own memory
    const program = (name) => (made[name] ??= programs[name]());
    const training = { history: [] }; // scores, each with its step, the weights and the shares of the gradient
    const state = {};
    let scoring; // an unfinished scoring of an earlier step

    training.begin = (weights, count = 0) => {
      const zeros = () => new Float64Array(weights.length);
      Object.assign(state, { weights: Float64Array.from(weights), mean: zeros(), square: zeros(), count });
      training.history = [];
      scoring = undefined;
    };

    training.step = (loss, batch, settings) => {
      const next = program(`step-${loss}`)({ ...state, ...batch, ...settings });
      for (const key of ["weights", "mean", "square"]) state[key].set(next[key]); // the next call overwrites them
      state.count = next.count;
    };

    training.weights = () => state.weights;
    training.look = (inputs) => program("look")(inputs);
    training.pull = (loss, inputs) => program(`pull-${loss}`)(inputs);

    // Sorting takes longer than a step does, so it is spread over frames, label by label.
    function* score({ tested, truth }, { labels, firstRare, tested: atATime }, shares) {
      const { count } = state;
      const weights = Float64Array.from(state.weights);
      const logits = new Float64Array(truth.length);
      const precisions = [];
      yield;
      for (let row = 0; row < tested.length / 2; row += atATime) {
        const points = tested.subarray(2 * row, 2 * (row + atATime));
        logits.set(program("test")({ weights, points }).logits, row * labels);
        yield;
      }
      for (let label = 0; label < labels; label++) {
        precisions.push(100 * averagePrecision(takeColumn(logits, labels, label), takeColumn(truth, labels, label)));
        yield;
      }
      const [all, rare] = [mean(precisions), mean(precisions.slice(firstRare))];
      training.history.push({ step: count, all, rare, weights, shares });
    }

    training.startScoring = (world, sizes, shares) => {
      training.finishScoring();
      if (training.history.at(-1)?.step === state.count) return;
      scoring = score(world, sizes, shares);
      scoring.next(); // with the weights of this step
    };

    /** Go on with the scoring, if there is one, for a number of milliseconds; returns whether it is finished. */
    training.finishScoring = (time = Number.POSITIVE_INFINITY) => {
      const end = performance.now() + time;
      while (scoring && performance.now() < end) if (scoring.next().done) scoring = undefined;
      return !scoring;
    };
    return training;
  }

  /** A function that shades a square by p. Its color is the one of the drawing's positives. */
  function createPlane(panel, positives, [[left, across], [top, down]], size) {
    const { width, height } = panel.querySelector("svg").viewBox.baseVal;
    const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size, ariaHidden: "true" });
    const box = { left: (left - across) / width, top: (top + down) / height, width: (2 * across) / width, height: (-2 * down) / height };
    for (const [name, part] of Object.entries(box)) canvas.style[name] = `${100 * part}%`;
    panel.prepend(canvas);
    const pixels = new ImageData(size, size);

    return (p) => {
      const color = getComputedStyle(positives.querySelector("path")).stroke.match(/\d+/g);
      for (let n = 0; n < p.length; n++) {
        const place = 4 * ((size - 1 - Math.floor(n / size)) * size + (n % size));
        for (let part = 0; part < 3; part++) pixels.data[place + part] = color[part];
        pixels.data[place + 3] = 176 * p[n];
      }
      canvas.getContext("2d").putImageData(pixels, 0, 0);
    };
  }

  /** Draw lines and texts in another color. */
  function paint(group, color) {
    for (const part of group.querySelectorAll("[style]")) part.style[part.style.fill === "none" ? "stroke" : "fill"] = color;
  }

  /** Arrange all parts as areas of a grid: the views of each side, the scores, the controls of each side, the world's. */
  function arrange(root) {
    const form = root.querySelector("form");
    const make = (tag, className, ...children) => {
      const element = Object.assign(document.createElement(tag), { className });
      element.append(...children);
      return element;
    };
    const row = (name) => form.elements[name].parentElement;
    const ofSide = (side, element, role) => {
      element.dataset.side = side;
      return Object.assign(element, { role: "group", ariaLabel: `${role} ${side.toUpperCase()}` });
    };
    const choose = (side) => {
      root.dataset.shown = side;
      for (const tab of tabs.children) tab.ariaPressed = String(tab.textContent === side.toUpperCase());
    };
    const tab = (side) => {
      const properties = { type: "button", textContent: side.toUpperCase(), onclick: () => choose(side) };
      return Object.assign(document.createElement("button"), properties);
    };
    const panels = [...root.querySelectorAll(".asl-panel")];
    const names = ["loss", "gamma_neg", "clip", "start", "gamma_pos", "learning_rate"];
    const [transport, last] = form.querySelectorAll(":scope > .asl-buttons");
    const tabs = make("div", "asl-tabs", ...SIDES.map(tab));
    const views = SIDES.map((side) => ofSide(side, make("div", "asl-trio", ...panels.splice(0, 3)), "views of"));
    const settings = SIDES.map((side) => {
      const controls = names.map((name) => row(`${side}_${name}`));
      return ofSide(side, make("div", "asl-controls", make("b", "asl-title", side.toUpperCase()), ...controls), "settings of");
    });
    const controls = make("div", "asl-controls", ...["label", "forgotten", "rarity"].map(row));
    const world = make("div", "asl-world", controls, root.querySelector("[data-live=reading]"), last);
    const buttons = ["play", "restart"].map((name) => root.querySelector(`[data-play=${name}]`));
    const bar = make("div", "asl-buttons asl-bar", tabs, ...buttons);
    transport.classList.add("asl-transport");
    transport.append(row("speed"));
    const scores = make("div", "asl-scores", ...panels);
    form.append(make("div", "asl-views", bar, ...views, scores), transport, ...settings, world);
    root.querySelector(".asl-panels").remove();
    form.classList.replace("asl-controls", "asl-stage");
    choose("b");
  }

  return function aslPlayground(live, root) {
    const { losses, played, colors, speeds, readings, sizes, shapes } = JSON.parse(root.dataset.facts);
    const { programs, data, recorded } = window.aslWorld;
    const part = (name) => root.querySelector(`[id="${root.id}-${name}"]`);
    const begin = programs.begin();
    const outline = programs.outline();
    const trainings = Object.fromEntries(SIDES.map((side) => [side, createTraining(programs)]));
    const planes = {};
    const world = {
      points: unpack(data.points, Float32Array),
      uniforms: Float64Array.from(data.uniforms, (digit) => digit / 10),
      axis: Float64Array.from(data.axis),
      shaded_axis: Float64Array.from(data.shadedAxis),
    };
    const initialWeights = unpack(data.weights, Float32Array);
    const batches = unpack(data.batches, Uint16Array);
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let settings;
    let count = 0; // steps that were made
    let viewed; // the step that the reader looks back at
    let changes = []; // the steps from which on other settings held, and these
    let playing = 0; // the request for the next frame
    let sides = SIDES; // those to draw
    const numbers = {}; // in the sentence under the figure
    const timeline = document.createElement("input");
    Object.assign(timeline, { type: "range", min: 0, max: sizes.steps, ariaLabel: "step of the run" });
    const clock = Object.assign(document.createElement("output"), { textContent: "step 0" });

    /** The loss whose formula a side uses: BCE and focal loss are ASL with other settings. */
    function formula(side) {
      const name = losses[settings[`${side}_loss`]];
      return name in played ? "ASL" : name;
    }

    function ofTraining() {
      return JSON.stringify(SIDES.map((side) => ofSide(side, settings, OF_TRAINING)));
    }

    function finished() {
      return count >= sizes.steps;
    }

    function takeBatch(step) {
      const rows = batches.subarray((step * sizes.batch) % batches.length).subarray(0, sizes.batch);
      const { points, labels, targets } = world;
      return { points: takeRows(points, 2, rows), labels: takeRows(labels, sizes.labels, rows), targets: takeRows(targets, sizes.labels, rows) };
    }

    /** Label the points, and begin with untrained networks. */
    function restart() {
      const { forgotten, rarity, a_start, b_start } = settings;
      const given = { forgotten, rarity, a_start, b_start };
      Object.assign(world, begin({ ...world, weights: initialWeights, ...given }), { begunWith: Object.values(given).join() });
      count = 0;
      viewed = undefined;
      timeline.step = SCORE_EVERY;
      changes = [];
      root.dispatchEvent(new Event("running"));
      for (const side of SIDES) trainings[side].begin(world[`${side}_weights`]);
      score();
      finishScoring();
      tell();
    }

    /** Say where the run is. */
    function tell() {
      const at = viewed ?? count;
      timeline.value = at;
      timeline.style.setProperty("--part", at / sizes.steps);
      timeline.setAttribute("aria-valuetext", `step ${at} of ${count}`);
      clock.textContent = viewed === undefined ? `step ${at}` : `step ${at} of ${count}`;
    }

    /** The gradient of a batch with the loss that a side has now. */
    function pull(side, weights, step) {
      const of = formula(side) === "ASL" ? ofSide(side, settings, OF_LOSS) : {};
      return trainings[side].pull(formula(side), { weights, ...takeBatch(step), ...of });
    }

    function score() {
      for (const side of SIDES) {
        const entries = Object.entries(pull(side, trainings[side].weights(), count));
        trainings[side].startScoring(world, sizes, entries.filter(([key]) => key.endsWith("_share")));
      }
    }

    function finishScoring(time) {
      return Object.values(trainings).every((training) => training.finishScoring(time));
    }

    function step() {
      const { points, targets } = takeBatch(count);
      for (const side of SIDES) {
        const of = ofSide(side, settings, formula(side) === "ASL" ? [...OF_LOSS, "learning_rate"] : ["learning_rate"]);
        trainings[side].step(formula(side), { points, targets }, of);
      }
      if (changes.at(-1)?.[2] !== ofTraining()) {
        changes.push([count, { ...settings }, ofTraining()]);
        root.dispatchEvent(new Event("running"));
      }
      count++;
      if (count % SCORE_EVERY === 0) score();
    }

    /** Show the run that is recorded, which has no weights between its start and its end. */
    function showRecorded() {
      figure.change(figure.initial);
      settings = figure.settings;
      restart();
      for (const side of SIDES) {
        const { weights, all, rare } = recorded[side];
        const [start] = trainings[side].history;
        trainings[side].begin(unpack(weights, Float32Array), sizes.steps);
        trainings[side].history = all.map((score, n) => ({ step: SCORE_EVERY * n, all: score, rare: rare[n] }));
        trainings[side].history[0] = start;
        trainings[side].history.at(-1).weights = trainings[side].weights();
      }
      count = sizes.steps;
      timeline.step = sizes.steps;
      changes = [[0, { ...settings }, ofTraining()]];
    }

    /** What liveFigure draws: the values of the trainings in `sides`, and numbers of both, by name. */
    function values(current) {
      settings = current;
      const { forgotten, rarity, a_start, b_start, label } = settings;
      if ([forgotten, rarity, a_start, b_start].join() !== world.begunWith) restart();
      const lastScore = trainings.b.history.findLast(({ step }) => step <= (viewed ?? count)).step;
      const shown = viewed ?? (playing ? count : lastScore);
      numbers.step = lastScore;
      const chance = 100 * mean(world.truth);
      const result = { "progress-chance": [0, sizes.steps, chance, chance], "progress-by-chance": [sizes.steps / 2, chance + 3] };
      for (const side of sides) {
        const training = trainings[side];
        const history = training.history.filter(({ step }) => step <= lastScore);
        const weights = shown === count ? training.weights() : history.at(-1).weights;
        if (root.querySelector(`[id="${root.id}-${side}-plane-outer"]`)) {
          const { points, labels, targets, shaded } = world;
          const seen = training.look({ weights, points, labels, targets, shaded, label });
          const { outer, inner } = outline({ rarity, label });
          const parts = { ...seen, ...pull(side, weights, shown), "plane-outer": outer, "plane-inner": inner };
          for (const [key, value] of Object.entries(parts)) result[`${side}-${key}`] = value;
          const shares = shown === lastScore ? Object.entries(parts) : history.at(-1).shares;
          for (const [key, value] of shares) numbers[`${side}_${key}`] = value;
          const name = `${side}-plane-positive`;
          planes[side] ??= createPlane(part(name).closest(".asl-panel"), part(name), shapes[name], sizes.shaded);
          planes[side](seen["plane-p"]);
        }
        const steps = history.map(({ step }) => step);
        const { [`${side}_loss`]: loss } = changes.at(-1)?.[1] ?? settings; // that it was trained with last
        for (const of of ["all", "rare", "end"]) {
          const line = part(`progress-${side}-${of}`);
          if (line) paint(line, colors[loss]);
        }
        for (const of of ["all", "rare"]) {
          const scores = history.map((scored) => scored[of]);
          numbers[`${side}_${of}`] = scores.at(-1);
          result[`progress-${side}-${of}`] = of === "all" || rarity > 1 ? [...steps, ...scores] : [];
        }
      }
      // The letters at the ends of the lines stand at least as far apart as they are high.
      const [a, b] = [numbers.a_all, numbers.b_all];
      const shift = (Math.max(0, 8 - Math.abs(a - b)) / 2) * (a < b ? -1 : 1);
      result["progress-a-end"] = [lastScore + 12, a + shift];
      result["progress-b-end"] = [lastScore + 12, b - shift];
      return { ...result, ...numbers, reading: reading() };
    }

    function reading() {
      if (finished() && viewed === undefined && changes.at(-1)[2] !== ofTraining()) return readings.changed;
      const parts = ["scores"];
      if (settings.rarity > 1) parts.push("rare");
      if (planes.a) parts.push("shares");
      if (planes.a && settings.forgotten > 0) parts.push("forgotten");
      return parts.map((name) => readings[name]).join("").trimEnd();
    }

    const figure = live(root, values);
    settings = figure.settings;
    if ("stage" in root.dataset) arrange(root);
    const playButton = root.querySelector("[data-play=play]");
    root.querySelector("[data-play=step]").parentElement.append(timeline);
    playButton.parentElement.append(clock);

    /** Draw, and say where the run is. */
    function show() {
      const sentence = figure.show();
      tell();
      return sentence;
    }

    timeline.addEventListener("input", (event) => {
      event.stopPropagation(); // it is no setting
      if (playing) pause();
      const { step } = trainings.a.history.findLast(({ step, weights }) => weights && step <= timeline.value);
      viewed = step === count ? undefined : step;
      show();
    });

    function pause() {
      cancelAnimationFrame(playing);
      playing = 0;
      playButton.textContent = "Play";
      score();
      finishScoring();
      figure.announce(show());
      const ran = changes.map(([from, given]) => [from, given]);
      if (count) root.dispatchEvent(new CustomEvent("ran", { detail: { changes: ran, steps: count } }));
    }

    function play() {
      if (finished()) restart();
      viewed = undefined;
      show();
      playButton.textContent = "Pause";
      let [due, last, drawnAt, announced] = [0, performance.now(), count, performance.now()];
      let drawn = "b";

      function frame(now) {
        playing = requestAnimationFrame(frame);
        due += (speeds[settings.speed] * (now - last)) / 1000;
        last = now;
        const end = performance.now() + TRAINING_TIME;
        const limit = finishScoring(SCORING_TIME) ? sizes.steps : SCORE_EVERY * Math.ceil((count + 1) / SCORE_EVERY) - 1;
        for (; due >= 1 && count < limit && performance.now() < end; due--) step();
        due = Math.min(due, 5); // after a long pause it does not catch up
        if (finished()) return pause();
        if (calm.matches && Math.abs(count - drawnAt) < 100) return;
        drawnAt = count;
        // A frame is short: the trainings are drawn in turn.
        drawn = drawn === "a" ? "b" : "a";
        sides = calm.matches ? SIDES : [drawn];
        const sentence = show();
        sides = SIDES;
        if (now > announced + ANNOUNCE_EVERY) {
          announced = now;
          figure.announce(sentence);
        }
      }
      playing = requestAnimationFrame(frame);
    }

    const actions = {
      play: () => (playing ? pause() : play()),
      step: () => {
        if (finished()) restart();
        viewed = undefined;
        step();
        if (!playing) pause();
      },
      restart: () => {
        restart();
        if (!playing) pause();
      },
      recorded: () => {
        if (playing) pause();
        showRecorded();
        pause();
      },
    };
    root.addEventListener("click", ({ target }) => actions[target.closest("[data-play]")?.dataset.play]?.());
    root.addEventListener("restored", () => {
      delete world.begunWith; // a link to an experiment begins it, though its settings may be those of the last one
    });

    /** The menu of losses sets the sliders, and the sliders choose the loss that the menu shows. */
    function follow(side, changed) {
      const loss = settings[`${side}_loss`];
      const set = (of) => Object.fromEntries(Object.entries(of).map(([name, value]) => [`${side}_${name}`, value]));
      if (OF_LOSS.some((name) => `${side}_${name}` in changed)) {
        const { gamma_neg, gamma_pos, clip } = ofSide(side, { ...settings, ...changed }, OF_LOSS);
        const kept = `${side}_loss` in changed ? changed[`${side}_loss`] : loss;
        const named = clip || gamma_neg !== gamma_pos ? "ASL" : gamma_neg ? "focal" : "BCE";
        if (losses[kept] in played && losses[kept] !== named) figure.change(set({ loss: losses.indexOf(named) }));
      } else if (losses[changed[`${side}_loss`]] in played) figure.change(set(played[losses[changed[`${side}_loss`]]]));
    }

    function followAll({ detail }) {
      for (const side of SIDES) {
        follow(side, detail);
        const sliders = figure.controls.filter(({ name }) => OF_LOSS.some((of) => name === `${side}_${of}`));
        for (const slider of sliders) slider.disabled = !(losses[settings[`${side}_loss`]] in played);
      }
    }

    root.addEventListener("changed", followAll);
    followAll({ detail: settings });

    // The squares are pixels; they take their color from the page again when it turns dark or light.
    const recolor = () => world.labels && show();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
    new MutationObserver(recolor).observe(document.documentElement, { attributeFilter: ["data-scheme"] });
    new MutationObserver(recolor).observe(document.body, { attributeFilter: ["class"] });

    // The picture in the page is that of step 0 already, but for the shading of the squares.
    if (document.readyState === "complete") show();
    else addEventListener("load", show);
    root.figure.play = () => {
      restart();
      if (!playing) play();
    };
  };
})();
