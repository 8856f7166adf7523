// Light or dark: as the system has it, until the button says otherwise; and the colours that follow from it.

const KEY = 'theme';

let probe = null;

/** A colour of the style sheet by its name, as it is now: for canvases, which know no variables. */
export function colour(name) {
  if (!probe) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** @param {() => void} onChange called when colours have changed, for what is painted rather than styled */
export function initialiseTheme(button, onChange) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const apply = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    onChange();
  };
  apply(localStorage.getItem(KEY));
  system.addEventListener('change', onChange);
  button.addEventListener('click', () => {
    const dark = (document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
    const theme = dark ? 'light' : 'dark';
    localStorage.setItem(KEY, theme);
    apply(theme);
  });
}
