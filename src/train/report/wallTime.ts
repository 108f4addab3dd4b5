/** The clock of the calendar. Logs carry it, as TensorBoard and MLflow want; nothing that training computes does. */

/** Milliseconds since 1970, a whole number. */
export function wallMs(): number {
  return Date.now();
}
