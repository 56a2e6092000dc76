/*
 * The playground: two trainings side by side, one with your loss and one with BCE, shown by a live figure.
 *
 * Each playground embeds live.js and this file, sets window.aslWorld, then calls aslPlayground(live, root, recorded).
 *
 * aslWorld.programs  Functions that make a program. Python's to_javascript writes the programs from torch functions.
 *                      begin  labels of the training and test points, and the initial weights
 *                      step   one step of training
 *                      look   what the views show of a training
 *                      test   the logits of test points
 * aslWorld.data      The world, as torch drew it: arrays in base64, the uniforms as decimal digits.
 *
 * live      The function liveFigure of live.js.
 * root      The <figure>.
 * recorded  A recorded run: its number of steps, and for each training its weights and scores.
 *           Its data-facts are what liveFigure needs, and:
 *   bce       the settings of the training with BCE
 *   sizes     numbers: labels, batch, test points scored at a time, side of the shaded grid, steps, first rare label
 *   speeds    steps a second, for each option of the menu
 *   planes    for each training the axes of its square in the drawing, in percent: [left, top, width, height]
 *   readings  the sentence under the figure: BCE ahead, level, yours ahead; about forgotten labels; about a recorded run;
 *             instead of all these, for a run that ended before the loss was changed
 */
window.aslPlayground ??= (() => {
  const SCORE_EVERY = 20; // steps
  const TRAINING_TIME = 6; // milliseconds of each frame
  const SCORING_TIME = 4; // at most this much of it
  const ANNOUNCE_EVERY = 10_000; // milliseconds

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

  /** The settings that may change during a run, for comparison. */
  function ofTraining({ gamma_neg, gamma_pos, clip, learning_rate }) {
    return [gamma_neg, gamma_pos, clip, learning_rate].join();
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

  function createTraining(programs) {
    const training = { look: programs.look(), history: { steps: [], all: [], rare: [] } };
    const [step, test] = [programs.step(), programs.test()];
    const state = {};
    let scoring; // an unfinished scoring of an earlier step

    training.begin = (weights) => {
      const zeros = () => new Float64Array(weights.length);
      Object.assign(state, { weights: Float64Array.from(weights), mean: zeros(), square: zeros(), count: 0 });
      training.history = { steps: [], all: [], rare: [] };
      scoring = undefined;
    };

    training.weights = () => state.weights;

    training.step = (batch, settings) => {
      const next = step({ ...state, ...batch, ...settings });
      for (const key of ["weights", "mean", "square"]) state[key].set(next[key]); // the next call overwrites them
      state.count = next.count;
    };

    // Sorting takes longer than a step does, so it is spread over frames, label by label.
    function* score({ tested, truth }, { labels, firstRare, tested: atATime }) {
      const { count } = state;
      const weights = Float64Array.from(state.weights);
      const logits = new Float64Array(truth.length);
      const precisions = [];
      yield;
      for (let row = 0; row < tested.length / 2; row += atATime) {
        const points = tested.subarray(2 * row, 2 * (row + atATime));
        logits.set(test({ weights, points }).logits, row * labels);
        yield;
      }
      for (let label = 0; label < labels; label++) {
        precisions.push(100 * averagePrecision(takeColumn(logits, labels, label), takeColumn(truth, labels, label)));
        yield;
      }
      training.history.steps.push(count);
      training.history.all.push(mean(precisions));
      training.history.rare.push(mean(precisions.slice(firstRare)));
    }

    training.startScoring = (world, sizes) => {
      training.finishScoring();
      scoring = score(world, sizes);
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

  return function aslPlayground(live, root, recordedRun) {
    const { bce, sizes, speeds, planes, readings, ...facts } = JSON.parse(root.dataset.facts);
    const { programs, data } = window.aslWorld;
    const begin = programs.begin();
    const trainings = { yours: createTraining(programs), bce: createTraining(programs) };
    const world = {
      points: unpack(data.points, Float32Array),
      uniforms: Float64Array.from(data.uniforms, (digit) => digit / 10),
      axis: Float64Array.from(data.axis),
      shaded_axis: Float64Array.from(data.shadedAxis),
    };
    const initialWeights = unpack(data.weights, Float32Array);
    const batches = unpack(data.batches, Uint16Array);
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let settings = facts.settings;
    let count = recordedRun.steps;
    let recorded = true; // no step was made yet: the weights and scores are those of the recorded run
    let trainedWith = facts.settings; // in the last step
    let mustRestart = false; // the settings come from the address
    let changes = []; // the steps from which on other settings held, and these
    let batch;
    let playing = 0; // the request for the next frame
    let runs = Object.keys(trainings); // those to draw
    const numbers = {}; // in the sentence under the figure

    /** Label the points. */
    function label({ forgotten, rarity, start }) {
      const begun = begin({ ...world, weights: initialWeights, forgotten, rarity, start });
      Object.assign(world, begun, { begunWith: [forgotten, rarity, start].join() });
      takeBatch();
    }

    function takeBatch() {
      const rows = batches.subarray((count * sizes.batch) % batches.length).subarray(0, sizes.batch);
      const { points, labels, targets } = world;
      batch = {
        points: takeRows(points, 2, rows),
        labels: takeRows(labels, sizes.labels, rows),
        targets: takeRows(targets, sizes.labels, rows),
      };
    }

    function restart() {
      recorded = false;
      mustRestart = false;
      count = 0;
      changes = [];
      root.dispatchEvent(new Event("running"));
      label(settings);
      trainings.yours.begin(world.weights);
      trainings.bce.begin(initialWeights);
      score();
      finishScoring();
    }

    function score() {
      for (const training of Object.values(trainings)) training.startScoring(world, sizes);
    }

    function finishScoring(time) {
      return Object.values(trainings).every((training) => training.finishScoring(time));
    }

    function step() {
      const { points, targets } = batch;
      trainings.yours.step({ points, targets }, settings);
      trainings.bce.step({ points, targets }, bce);
      if (!changes.length || ofTraining(trainedWith) !== ofTraining(settings)) {
        const { gamma_neg, gamma_pos, clip, learning_rate } = settings;
        changes.push([count, { gamma_neg, gamma_pos, clip, learning_rate }]);
        root.dispatchEvent(new Event("running"));
      }
      trainedWith = { ...settings };
      count++;
      takeBatch();
      if (count % SCORE_EVERY === 0) score();
    }

    /** A function that shades a run's square by p, if the square is shown. Its color is the one of the drawing's positives. */
    function createPlane(run) {
      const drawing = root.querySelector(`[data-run=${run}][data-view=plane] .asl-drawing`);
      if (!drawing) return () => {};
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = sizes.shaded;
      canvas.ariaHidden = "true";
      const [left, top, width, height] = planes[run].map((percent) => `${percent}%`);
      Object.assign(canvas.style, { left, top, width, height });
      drawing.prepend(canvas);
      drawing.querySelector("svg image").remove();
      const pixels = new ImageData(sizes.shaded, sizes.shaded);

      return (p) => {
        const color = getComputedStyle(drawing.querySelector("[id$=plane-positive] path")).stroke.match(/\d+/g);
        for (let n = 0; n < p.length; n++) {
          const place = 4 * ((sizes.shaded - 1 - Math.floor(n / sizes.shaded)) * sizes.shaded + (n % sizes.shaded));
          for (let part = 0; part < 3; part++) pixels.data[place + part] = color[part];
          pixels.data[place + 3] = 176 * p[n];
        }
        canvas.getContext("2d").putImageData(pixels, 0, 0);
      };
    }

    /** What liveFigure draws: the values of the trainings in `runs`, and numbers of both, by name. */
    function values(current) {
      settings = current;
      root.dataset.large = settings.large;
      if (!world.labels) label(facts.settings);
      if (mustRestart || [settings.forgotten, settings.rarity, settings.start].join() !== world.begunWith) restart();
      Object.assign(numbers, { step: count, scored: trainings.bce.history.steps.at(-1) });
      const result = {};
      for (const run of runs) {
        const training = trainings[run];
        const { gamma_neg, gamma_pos, clip } = run === "bce" ? bce : settings;
        const { points, labels, targets, shaded } = world;
        const batchParts = { batch_points: batch.points, batch_labels: batch.labels, batch_targets: batch.targets };
        const weights = training.weights();
        const seen = training.look({
          ...{ weights, points, labels, targets, shaded, ...batchParts },
          ...{ label: settings.label, gamma_neg, gamma_pos, clip },
        });
        for (const [key, value] of Object.entries(seen)) {
          if (typeof value === "number") numbers[`${run}_${key}`] = value;
          else result[`${run}-${key}`] = value;
        }
        const { history } = training;
        for (const part of ["all", "rare"]) {
          result[`progress-${run}-${part}`] = [...history.steps, ...history[part]];
          numbers[`${run}_${part}`] = history[part].at(-1);
        }
        training.drawPlane ??= createPlane(run);
        training.drawPlane(seen["plane-p"]);
      }
      if (recorded || count >= sizes.steps) {
        if (ofTraining(settings) !== ofTraining(trainedWith)) return { ...result, ...numbers, reading: readings[5] };
      }
      const lead = numbers.yours_all - numbers.bce_all;
      const reading = [readings[lead < -1 ? 0 : lead > 1 ? 2 : 1]];
      if (settings.forgotten > 0) reading.push(readings[3]);
      if (recorded) reading.push(readings[4]);
      return { ...result, ...numbers, reading: reading.join("") };
    }

    for (const [run, training] of Object.entries(trainings)) {
      training.begin(unpack(recordedRun[run].weights, Float32Array));
      training.history = recordedRun[run].history;
    }
    root.addEventListener("restored", () => {
      mustRestart = true;
    });
    const figure = live(root, values);
    const playButton = root.querySelector("[data-play=play]");

    function pause() {
      cancelAnimationFrame(playing);
      playing = 0;
      playButton.textContent = "Play";
      finishScoring();
      figure.announce(figure.show());
      const [forgotten, rarity, start] = world.begunWith.split(",").map(Number);
      root.dispatchEvent(new CustomEvent("ran", { detail: { begun: { forgotten, rarity, start }, changes, steps: count } }));
    }

    function play() {
      if (recorded || count >= sizes.steps) restart();
      figure.show();
      playButton.textContent = "Pause";
      let [due, last, shown, announced] = [0, performance.now(), count, performance.now()];
      let drawn = "bce";

      function frame(now) {
        playing = requestAnimationFrame(frame);
        due += (speeds[settings.speed] * (now - last)) / 1000;
        last = now;
        const end = performance.now() + TRAINING_TIME;
        const limit = finishScoring(SCORING_TIME) ? sizes.steps : SCORE_EVERY * Math.ceil((count + 1) / SCORE_EVERY) - 1;
        for (; due >= 1 && count < limit && performance.now() < end; due--) step();
        due = Math.min(due, 5); // after a long pause it does not catch up
        if (count >= sizes.steps) return pause();
        if (calm.matches && Math.abs(count - shown) < 100) return;
        shown = count;
        // A frame is short: the trainings are drawn in turn.
        runs = calm.matches ? Object.keys(trainings) : [drawn === "yours" ? "bce" : "yours"];
        drawn = runs[0];
        const sentence = figure.show();
        runs = Object.keys(trainings);
        if (now > announced + ANNOUNCE_EVERY) {
          announced = now;
          figure.announce(sentence);
        }
      }
      playing = requestAnimationFrame(frame);
    }

    root.addEventListener("click", ({ target }) => {
      const action = target.closest("[data-play]")?.dataset.play;
      if (action === "play") playing ? pause() : play();
      if (action === "step" || action === "restart") {
        if (action === "restart" || recorded || count >= sizes.steps) restart();
        if (action === "step") step();
        if (!playing) pause();
      }
    });

    // The squares are pixels; they take their color from the page again when it turns dark or light.
    const recolor = () => world.labels && figure.show();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
    new MutationObserver(recolor).observe(document.documentElement, { attributeFilter: ["data-scheme"] });
    new MutationObserver(recolor).observe(document.body, { attributeFilter: ["class"] });

  };
})();
