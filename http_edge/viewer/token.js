// The token that a service may ask for: kept until the tab is closed, and asked for where an answer says so.

const KEY = 'token';

export const token = () => sessionStorage.getItem(KEY);

/** The header that carries a token; none without one. */
export const authorization = (given) => (given ? { Authorization: `Bearer ${given}` } : {});

/**
 * Whether an answer refused the token, or that there was none.
 * @param {string | number} code the answer's `code` or status
 */
export const isRefusal = (code) => code === 'unauthorized' || code === 401;

/** @param {HTMLFormElement} form with one input; @param {() => void} onGiven called once there is a token */
export function initialiseToken(form, onGiven) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, form.querySelector('input').value);
    form.hidden = true;
    onGiven();
  });
}
