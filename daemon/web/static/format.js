// Numbers and times as people read them.

/** @param {number} milliseconds */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** @param {number|null|undefined} value @param {number} [decimals] */
export const number = (value, decimals = 0) => (value === null || value === undefined ? "–" : value.toFixed(decimals));

/** @param {string} time @returns {string} with its day where that is not today */
export function clock(time) {
  const date = new Date(time);
  const of = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const hours = `${of(date.getHours())}:${of(date.getMinutes())}:${of(date.getSeconds())}`;
  if (date.toDateString() === new Date().toDateString()) return hours;
  return `${date.getFullYear()}-${of(date.getMonth() + 1)}-${of(date.getDate())} ${hours}`;
}

/** @param {Record<string, number>} counts @returns {string} such as "person 2, car 1" */
export const counted = (counts) =>
  Object.entries(counts)
    .filter(([, count]) => count)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
