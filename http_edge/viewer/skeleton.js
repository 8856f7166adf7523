// Which keypoints a skeleton joins, and in which colours people are shown.

const COCO = [
  ['nose', 'left_eye'], ['nose', 'right_eye'], ['left_eye', 'left_ear'], ['right_eye', 'right_ear'],
  ['left_shoulder', 'right_shoulder'], ['left_shoulder', 'left_elbow'], ['left_elbow', 'left_wrist'],
  ['right_shoulder', 'right_elbow'], ['right_elbow', 'right_wrist'], ['left_shoulder', 'left_hip'],
  ['right_shoulder', 'right_hip'], ['left_hip', 'right_hip'], ['left_hip', 'left_knee'], ['left_knee', 'left_ankle'],
  ['right_hip', 'right_knee'], ['right_knee', 'right_ankle'],
];

/** The parent of each of SMPL's 24 joints. */
export const SMPL_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21];

/** Pairs of keypoints to join, for whichever set the service lists. */
export function bones(keypoints) {
  if (keypoints.length === SMPL_PARENTS.length) {
    return SMPL_PARENTS.flatMap((parent, joint) => (parent < 0 ? [] : [[keypoints[parent], keypoints[joint]]]));
  }
  const named = new Map(keypoints.map((point) => [point.name, point]));
  return COCO.map((pair) => pair.map((name) => named.get(name))).filter(([a, b]) => a && b);
}

const PEOPLE = [
  [0.55, 0.76, 0.95], [0.98, 0.72, 0.45], [0.66, 0.86, 0.56], [0.87, 0.65, 0.93],
  [0.97, 0.63, 0.67], [0.52, 0.86, 0.83], [0.93, 0.86, 0.5], [0.76, 0.76, 0.8],
];

/** The colour of a person, red, green, blue from 0 to 1: the same as long as the track lasts. */
export const personColour = (trackId) => PEOPLE[(((trackId - 1) % PEOPLE.length) + PEOPLE.length) % PEOPLE.length];

export const css = ([red, green, blue], alpha = 1) =>
  `rgb(${Math.round(red * 255)} ${Math.round(green * 255)} ${Math.round(blue * 255)} / ${alpha})`;
