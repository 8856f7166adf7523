// Which frame is shown: steps, plays at the video's own pace, or follows what comes in.

export class Player {
  /**
   * @param {import('./results.js').Results} results
   * @param {(frame: object, bitmap: ImageBitmap | null) => void} onFrame called with each frame that is shown
   */
  constructor(results, onFrame) {
    this._results = results;
    this._onFrame = onFrame;
    this._drawing = false;
    this._next = null;
    this.current = 0;
    this.playing = false;
    this.following = false;
  }

  /** A run begins: show the newest frame, from now on. */
  follow() {
    this.current = 0;
    this.playing = false;
    this.following = true;
  }

  /** A frame has come. */
  arrived(number) {
    if ((this.following && number >= this.current) || number === this.current) this._show(number);
  }

  step(frames) {
    this.seek(this.current + frames);
  }

  /** Show this frame, or the last one that there is. */
  seek(number) {
    this.playing = false;
    this.following = false;
    this._show(Math.max(this._results.first, Math.min(this._results.entries.length - 1, number)));
  }

  redraw() {
    this._show(this.current);
  }

  toggle() {
    if (this.playing) {
      this.playing = false;
      return;
    }
    this.following = false;
    this.playing = true;
    if (this.current >= this._results.newest) this.current = this._results.first;
    this._play(this.current, performance.now());
  }

  _play(first, began) {
    if (!this.playing) return;
    const { entries } = this._results;
    const elapsed = performance.now() - began;
    const until = (entries[first]?.timestampMs ?? 0) + elapsed;
    let number = this.current;
    while (number < this._results.newest && (entries[number + 1]?.timestampMs ?? Infinity) <= until) number += 1;
    if (number !== this.current || number === first) this._show(number);
    if (number >= this._results.newest) {
      this.playing = false;
      this._show(number);
    } else {
      requestAnimationFrame(() => this._play(first, began));
    }
  }

  /** The latest wish is drawn; those that come while a picture is being read give way to it. */
  async _show(number) {
    this.current = number;
    this._next = number;
    if (this._drawing) return;
    this._drawing = true;
    try {
      while (this._next !== null) {
        const frame = this._results.read(this._next);
        this._next = null;
        if (!frame) continue;
        const bitmap = frame.picture ? await createImageBitmap(frame.picture) : null;
        this._onFrame(frame, bitmap);
        bitmap?.close();
      }
    } finally {
      this._drawing = false;
    }
  }
}
