// The picture of a frame with what was found on it: mesh and skeletons, in three canvases one above the other.

import { Renderer, pictureCamera } from './gl.js';
import { bones, css, personColour } from './skeleton.js';
import { colour } from './theme.js';

const MESH_ALPHA = 0.78;
const BODY_REACH_M = 3;
const LEAST_CONFIDENCE = 0.05; // fainter keypoints are not drawn

/** Give a canvas the shape of the frame, no longer than `longestPx`; only another size, as that clears it. */
function fit(canvas, width, height, longestPx) {
  const share = Math.min(1, longestPx / Math.max(width, height));
  const size = { width: Math.round(width * share), height: Math.round(height * share) };
  if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
}

export class Stage {
  /** @param {{picture: HTMLCanvasElement, mesh: HTMLCanvasElement, skeleton: HTMLCanvasElement}} canvases */
  constructor(canvases) {
    this._canvases = canvases;
    this._picture = canvases.picture.getContext('2d', { alpha: false });
    this._skeleton = canvases.skeleton.getContext('2d');
    this.shows = { mesh: true, skeleton: true };
    try {
      this._renderer = new Renderer(canvases.mesh);
    } catch {
      this._renderer = null;
    }
  }

  get hasMeshes() {
    return this._renderer !== null;
  }

  /** Whether a GPU draws here, and not the processors that the poses need. */
  get hasGpu() {
    return Boolean(this._renderer?.hasGpu);
  }

  /** Show a frame that `Results.read` gave; its picture comes along as an ImageBitmap, or null. */
  draw(frame, bitmap, faces) {
    const width = frame.answer?.frame_width ?? bitmap?.width ?? 640;
    const height = frame.answer?.frame_height ?? bitmap?.height ?? 360;
    const seenPx = this._canvases.picture.clientWidth * devicePixelRatio;
    for (const canvas of [this._canvases.picture, this._canvases.skeleton]) fit(canvas, width, height, seenPx);
    fit(this._canvases.mesh, width, height, Math.min(seenPx, this._renderer?.longestPx ?? 1));
    const { picture } = this._canvases;
    if (bitmap) this._picture.drawImage(bitmap, 0, 0, picture.width, picture.height);
    else this._picture.fillRect(0, 0, picture.width, picture.height);
    this._drawMeshes(frame, faces, width, height);
    this._drawSkeletons(frame, width, height);
  }

  _drawMeshes(frame, faces, width, height) {
    if (!this._renderer) return;
    const people = new Map((frame.answer?.people ?? []).map((person) => [person.track_id, person]));
    const shown = this.shows.mesh && faces ? frame.meshes.filter(({ trackId }) => people.has(trackId)) : [];
    const meshes = shown.map(({ trackId, vertices }) => ({
      vertices,
      faces,
      translation: people.get(trackId).camera_translation,
      colour: [...personColour(trackId), MESH_ALPHA],
    }));
    const depths = meshes.map((mesh) => mesh.translation[2]);
    this._renderer.draw(
      pictureCamera({
        focalPx: frame.answer?.camera_full?.focal_length ?? 1,
        widthPx: width,
        heightPx: height,
        near: Math.max(0.1, Math.min(...depths, Infinity) - BODY_REACH_M) || 0.1,
        far: Math.max(...depths, 1) + BODY_REACH_M,
      }),
      meshes,
    );
  }

  _drawSkeletons(frame, width, height) {
    const context = this._skeleton;
    const share = this._canvases.skeleton.width / width;
    context.setTransform(share, 0, 0, share, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.shows.skeleton || !frame.answer) return;
    const unit = Math.max(width, height) / 640;
    for (const person of frame.answer.people) {
      const primary = person.track_id === frame.primary;
      this._drawBones(person, primary ? 2.4 * unit : 1.8 * unit);
      this._drawLabel(person, unit);
    }
  }

  _drawBones(person, thickness) {
    const context = this._skeleton;
    const own = css(personColour(person.track_id));
    context.lineCap = 'round';
    context.setLineDash(person.state === 'predicted' ? [thickness * 2, thickness * 2] : []);
    for (const [from, to] of bones(person.keypoints)) {
      const confidence = Math.min(from.confidence, to.confidence);
      if (confidence < LEAST_CONFIDENCE) continue;
      context.globalAlpha = 0.35 + 0.65 * confidence;
      for (const [style, width] of [['rgb(0 0 0 / 0.55)', thickness * 1.9], [own, thickness]]) {
        context.strokeStyle = style;
        context.lineWidth = width;
        context.beginPath();
        context.moveTo(from.x, from.y);
        context.lineTo(to.x, to.y);
        context.stroke();
      }
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  _drawLabel(person, unit) {
    const context = this._skeleton;
    const [left, top] = person.bbox;
    const text = `${person.track_id} · ${Math.round(person.tracking_confidence * 100)} %`;
    context.font = `600 ${11 * unit}px system-ui, sans-serif`;
    const width = context.measureText(text).width + 10 * unit;
    const x = Math.max(0, left);
    const y = Math.max(16 * unit, top);
    context.fillStyle = colour(person.state);
    context.fillRect(x, y - 16 * unit, width, 16 * unit);
    context.fillStyle = colour('on-state');
    context.fillText(text, x + 5 * unit, y - 4.5 * unit);
  }
}
