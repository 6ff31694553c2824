/**
 * The values of a header, one for each time that it stands there.
 * @param rawHeaders names and values in turn (`HttpRequest.rawHeaders`)
 * @param name in lower case
 */
export function valuesOf(rawHeaders: readonly string[], name: string): readonly string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
}
