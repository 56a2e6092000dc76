/*
 * A live figure as a widget of Jupyter: the settings are traits of its model, and the kernel runs the module.
 *
 * It follows live.js in the module of each widget, which exports figureWidget(program, markup). A cell displays a
 * figure's HTML, which live.js moves without a kernel; once the model is there, it is connected to that figure, too.
 */

/** Keep a figure and the traits of a model the same, and show the module's numbers, greyed while they are of other settings. */
function connect(root, { change, controls, settings }, model) {
  const shown = make("p", { className: "asl-module" });
  root.querySelector("[data-live=reading]").after(shown);

  function showAnswer() {
    const answer = model.get("_answer");
    if (!answer.numbers) return;
    shown.textContent = format(JSON.parse(root.dataset.facts).answer, answer.numbers);
    shown.classList.toggle("asl-stale", Object.keys(settings).some((key) => answer.settings[key] !== settings[key]));
  }

  root.addEventListener("changed", ({ detail }) => {
    // Each set calls the listeners below at once; they find that the figure has the setting already.
    for (const [key, value] of Object.entries(detail)) model.set(key, value);
    model.save_changes();
    showAnswer();
  });

  for (const control of controls) {
    const receive = () => {
      const [key, value] = [control.name, model.get(control.name)];
      const possible = withinRange(value, control) ?? settings[key];
      if (possible !== value || value !== settings[key]) change({ [key]: possible });
    };
    model.on(`change:${control.name}`, receive);
    receive();
  }
  model.on("change:_answer", showAnswer);
  showAnswer();
}

function figureWidget(program, markup) {
  return {
    initialize({ model }) {
      const connectDisplayed = (root) => {
        if (root.dataset.model === model.get("_key")) connect(root, root.figure, model);
      };
      for (const root of document.querySelectorAll("figure.asl-live")) if (root.figure) connectDisplayed(root);
      document.addEventListener("asl-figure", ({ target }) => connectDisplayed(target));
    },
    render({ model, el }) {
      el.innerHTML = markup;
      const root = el.querySelector("figure");
      connect(root, liveFigure(root, program), model);
    },
  };
}
