// Light or dark: as the system has it, until the button says otherwise; and the colours that follow from it.

const KEY = 'theme';

let probe = null;
const known = new Map(); // asking the browser makes it work out styles anew, at every frame

/** A colour of the style sheet by its name, as it is now: for canvases, which know no variables. */
export function colour(name) {
  if (!probe) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  if (!known.has(name)) {
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  return known.get(name);
}

/** @param {() => void} onChange called when colours have changed, for what is painted rather than styled */
export function initialiseTheme(button, onChange) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const changed = () => {
    known.clear();
    onChange();
  };
  const apply = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    changed();
  };
  apply(localStorage.getItem(KEY));
  system.addEventListener('change', changed);
  button.addEventListener('click', () => {
    const dark = (document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
    const theme = dark ? 'light' : 'dark';
    localStorage.setItem(KEY, theme);
    apply(theme);
  });
}
