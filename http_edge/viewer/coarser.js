// A mesh of a quarter of the triangles, for processors that draw what they have no time for.
// It knows triangles alone, so that limbs which touch in some pose are not sewn together.

/**
 * The triangles that are left where every vertex takes those neighbours along that none has taken.
 * @param {Uint16Array} faces three vertices each
 * @returns {Uint16Array} the same vertices' numbers
 */
export function coarser(faces) {
  const near = neighbours(faces);
  const standsFor = new Int32Array(near.length).fill(-1);
  near.forEach((others, vertex) => {
    if (standsFor[vertex] >= 0) return;
    standsFor[vertex] = vertex;
    for (const other of others) if (standsFor[other] < 0) standsFor[other] = vertex;
  });
  const kept = [];
  for (let at = 0; at < faces.length; at += 3) {
    const [i, j, k] = [standsFor[faces[at]], standsFor[faces[at + 1]], standsFor[faces[at + 2]]];
    if (i !== j && j !== k && k !== i) kept.push(i, j, k);
  }
  return Uint16Array.from(kept);
}

/** Whom each vertex shares an edge with. */
function neighbours(faces) {
  const highest = faces.reduce((most, vertex) => Math.max(most, vertex), -1);
  const near = Array.from({ length: highest + 1 }, () => new Set());
  for (let at = 0; at < faces.length; at += 3) {
    for (const [one, other] of [[0, 1], [1, 2], [2, 0]]) {
      near[faces[at + one]].add(faces[at + other]);
      near[faces[at + other]].add(faces[at + one]);
    }
  }
  return near;
}
