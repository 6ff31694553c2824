/**
 * Precondition elements of a refused post (draft-desruisseaux-ischedule-05 §6.3) with the HTTP status each goes with.
 * Real servers differ in the status, so peers go by the element.
 */
export const PRECONDITIONS = {
  'version-not-supported': 400,
  'invalid-calendar-data-type': 403,
  'invalid-calendar-data': 403,
  'invalid-scheduling-message': 403,
  'verification-failed': 403,
  'originator-missing': 403,
  'too-many-originators': 403,
  'originator-invalid': 403,
  'originator-denied': 403,
  'recipient-missing': 403,
  'recipient-mismatch': 403,
  'max-recipients': 403,
  'attachment-type-not-supported': 403,
  'max-content-length': 413,
  'min-date-time': 403,
  'max-date-time': 403,
  'max-instances': 403,
} as const satisfies Readonly<Record<string, number>>;

export type Precondition = keyof typeof PRECONDITIONS;

/** A post that is refused as a whole. */
export type Refusal = {
  readonly kind: 'refused';
  readonly precondition: Precondition;
  /** HTTP */
  readonly status: number;
  /** For a person at the other end: what was found, what was wanted. */
  readonly description: string;
};

export function refusal(precondition: Precondition, description: string): Refusal {
  return { kind: 'refused', precondition, status: PRECONDITIONS[precondition], description };
}
