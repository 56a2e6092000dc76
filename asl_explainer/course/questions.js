/*
 * A question: its answers become buttons, and what came out is shown once the reader has chosen one of them.
 *
 * root   What questions.py writes: the question, the list of its answers, and the folded right one, which is what a
 *        reader without this script sees. Its data-facts are those of Question in Python.
 */

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// What is covered comes later on the page than this script; on paper it is not covered.
const cover = (id) => `@media screen {
  [id="${id}"] { position: relative; outline: 1px dashed; }
  [id="${id}"]::before { position: absolute; padding: 0.5rem 1rem; content: "Choose an answer to see this."; }
  [id="${id}"] > * { visibility: hidden; }
}`;

/** Move a figure to the settings, and wait until it has trained if it can. */
async function moveFigure(figure, settings, play) {
  figure.figure.change(settings);
  if (!play || !figure.figure.play) return;
  const ran = new Promise((resolve) => figure.addEventListener("ran", resolve, { once: true }));
  figure.figure.play();
  await ran;
}

function question(root) {
  const facts = JSON.parse(root.dataset.facts);
  const [asked, answers] = root.children;
  const texts = [...answers.children].map((answer) => answer.textContent);
  const verdict = make("p", { className: "asl-verdict" });
  verdict.setAttribute("role", "status");
  const covers = make("style", {}, ...(facts.covers ? [cover(facts.covers)] : []));

  async function commit(chosen) {
    if (root.dataset.chosen) return;
    root.dataset.chosen = chosen;
    buttons.forEach((button, number) => {
      button.setAttribute("aria-pressed", number === chosen);
      button.setAttribute("aria-disabled", "true");
    });
    verdict.textContent = "See what happens.";
    const figure = document.getElementById(facts.figure);
    const { top, bottom } = figure?.getBoundingClientRect() ?? {};
    if (bottom > innerHeight) root.scrollIntoView();
    if (top < 0) figure.scrollIntoView();
    if (figure?.figure) await moveFigure(figure, facts.settings, facts.play);
    if (top < 0) root.scrollIntoView({ block: "center" });
    covers.remove();
    buttons[facts.right].dataset.right = "";
    const wrong = `You expected “${texts[chosen]}”; it came out “${texts[facts.right]}”. `;
    verdict.textContent = (chosen === facts.right ? "Right. " : wrong) + facts.because;
  }

  const buttons = texts.map((textContent, number) => {
    return make("button", { type: "button", textContent, onclick: () => commit(number) });
  });
  // In JupyterLab keys would act on the cell.
  for (const button of buttons) button.dataset.lmSuppressShortcuts = "true";
  root.replaceChildren(make("fieldset", {}, make("legend", {}, ...asked.childNodes), ...buttons), verdict, covers);
}
