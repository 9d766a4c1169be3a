/** Which addresses are of this server, and which lead away from it. */

/**
 * Return the whole address that a path stands for; that of the first screen where it leads to another server.
 *
 * A path alone would be read a second time: "/.//evil.example" is one of this server, and becomes "//evil.example", which is none.
 * @param {string} wanted
 * @param {string} origin
 */
export function ownAddress(wanted, origin) {
  const first = new URL("/", origin).href;
  try {
    const address = new URL(wanted, origin);
    const isOwn = wanted.startsWith("/") && address.origin === origin && !address.pathname.startsWith("//");
    return isOwn ? address.href : first;
  } catch {
    return first;
  }
}
