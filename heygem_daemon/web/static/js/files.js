/** Files that are dropped or chosen, folders included, and what each of them is for. */

/** @typedef {{recordings: File[], videos: File[], scripts: File[], others: File[], folder: string}} Sorted */

export const SCRIPT_SUFFIXES = [".txt", ".md", ".docx", ".odt", ".rtf", ".srt", ".vtt", ".ass", ".ssa", ".sbv", ".lrc"];
const STILL_TYPE = "image/";
const HIDDEN = /^(\.|~\$|Thumbs\.db$|desktop\.ini$)/i;

/** Return the suffix of a name in small letters, with its dot. @param {string} name */
export function suffixOf(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot).toLowerCase() : "";
}

/** Return a name without its suffix. @param {string} name */
export function stemOf(name) {
  const suffix = suffixOf(name);
  return suffix ? name.slice(0, -suffix.length) : name;
}

/**
 * Return all files of a drop, those in dropped folders too, and the name of the first folder.
 * @param {DataTransfer} transfer
 * @returns {Promise<{files: File[], folder: string}>}
 */
export async function filesOfDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (entries.every((entry) => entry === null)) return { files: [...transfer.files], folder: "" };
  const folder = entries.find((entry) => entry?.isDirectory)?.name ?? "";
  const files = await Promise.all(entries.map((entry) => (entry ? filesBelow(entry) : [])));
  return { files: files.flat(), folder };
}

/** @param {any} entry FileSystemEntry @returns {Promise<File[]>} */
async function filesBelow(entry) {
  if (HIDDEN.test(entry.name)) return [];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const found = [];
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...(await Promise.all(part.map(filesBelow))));
  }
  return found.flat();
}

/** Return the files of an input for files or folders. @param {HTMLInputElement} input */
export function filesOfInput(input) {
  const files = [...(input.files ?? [])].filter((file) => !HIDDEN.test(file.name));
  const folder = files[0]?.webkitRelativePath?.split("/")[0] ?? "";
  input.value = "";
  return { files, folder: files[0]?.webkitRelativePath ? folder : "" };
}

/**
 * Sort files by what they are for: the audio types are recordings, videos and images are videos, texts are scripts.
 * @param {File[]} files
 * @param {{recording_suffixes: string[], video_suffixes: string[]}} options
 * @param {string} [folder]
 * @returns {Sorted}
 */
export function sorted(files, options, folder = "") {
  const result = /** @type {Sorted} */ ({ recordings: [], videos: [], scripts: [], others: [], folder });
  for (const file of files) {
    const suffix = suffixOf(file.name);
    if (options.video_suffixes.includes(suffix) || file.type.startsWith(STILL_TYPE)) result.videos.push(file);
    else if (options.recording_suffixes.includes(suffix)) result.recordings.push(file);
    else if (SCRIPT_SUFFIXES.includes(suffix)) result.scripts.push(file);
    else result.others.push(file);
  }
  result.videos.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
  return result;
}
