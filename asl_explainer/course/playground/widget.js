/*
 * A playground in Jupyter: when a run pauses, the kernel trains the same steps, and its scores are shown under the sentence,
 * greyed while they belong to another run. The figure itself is the page's.
 */
export default {
  initialize({ model }) {
    function connect(root) {
      if (root.dataset.model !== model.get("_key")) return;
      const shown = Object.assign(document.createElement("p"), { className: "asl-module" });
      root.querySelector("[data-live=reading]").after(shown);
      root.addEventListener("running", () => shown.classList.add("asl-stale"));
      root.addEventListener("ran", ({ detail }) => {
        model.set("_run", detail);
        model.save_changes();
      });
      model.on("change:_answer", () => {
        const { run, text } = model.get("_answer");
        shown.textContent = text;
        shown.classList.toggle("asl-stale", JSON.stringify(run) !== JSON.stringify(model.get("_run")));
      });
    }

    for (const root of document.querySelectorAll("figure.asl-live")) if (root.figure) connect(root);
    document.addEventListener("asl-figure", ({ target }) => connect(target));
  },
};
