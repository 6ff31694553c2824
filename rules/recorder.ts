import type { Decision, Disposition, Step } from '../src/mail/disposition.ts';
import type { PermanentStatus } from '../src/mail/status.ts';
import type { Mode } from '../src/queue/store.ts';

/** What stands in a decision beside its disposition. */
export type Beside = { readonly annotate: boolean; readonly alarm?: boolean };

/** Collects the answers to the questions, and makes the decision that they lead to. */
export type Recorder = {
  readonly note: (question: string, answer: string) => void;
  readonly settle: (rule: string, post: Disposition, beside: Beside) => Decision;
  /** No post: a refusal in `final` and `relay`, where the post is all there is. */
  readonly mailOnly: (rule: string, reason: string, status: PermanentStatus, beside: Beside) => Decision;
  /** No post, for no fault of author or recipient: as `mailOnly`, but in `relay` a mail takes the post's place. */
  readonly mailInstead: (rule: string, reason: string, status: PermanentStatus, beside: Beside) => Decision;
};

/** Whether nothing reaches the recipient beside the post: no mail of its own goes its way. */
export function isPostAll(mode: Mode): boolean {
  return mode === 'final' || mode === 'relay';
}

export function recorder(mode: Mode): Recorder {
  const steps: Step[] = [];
  const settle: Recorder['settle'] = (rule, post, beside) => ({ post, rule, steps, ...beside });
  const mailOnly: Recorder['mailOnly'] = (rule, reason, status, beside) =>
    settle(rule, isPostAll(mode) ? { kind: 'reject', status, reason } : { kind: 'none', reason }, beside);
  return {
    note: (question, answer) => void steps.push({ question, answer }),
    settle,
    mailOnly,
    mailInstead: (rule, reason, status, beside) =>
      mode === 'relay' ? settle(rule, { kind: 'mail', reason }, beside) : mailOnly(rule, reason, status, beside),
  };
}
