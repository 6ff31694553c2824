import type { Decision, Disposition, Step } from '../src/mail/disposition.ts';
import type { PermanentStatus } from '../src/mail/status.ts';
import type { Mode } from '../src/queue/store.ts';

/** What stands in a decision beside its disposition. */
export type Beside = { readonly annotate: boolean; readonly alarm?: boolean };

/** Collects the answers to the questions, and makes the decision that they lead to. */
export type Recorder = {
  readonly note: (question: string, answer: string) => void;
  readonly settle: (rule: string, post: Disposition, beside: Beside) => Decision;
  /** No post: in `final` a refusal, since there the post is all there is. */
  readonly mailOnly: (rule: string, reason: string, status: PermanentStatus, beside: Beside) => Decision;
};

export function recorder(mode: Mode): Recorder {
  const steps: Step[] = [];
  const settle: Recorder['settle'] = (rule, post, beside) => ({ post, rule, steps, ...beside });
  return {
    note: (question, answer) => void steps.push({ question, answer }),
    settle,
    mailOnly: (rule, reason, status, beside) =>
      settle(rule, mode === 'final' ? { kind: 'reject', status, reason } : { kind: 'none', reason }, beside),
  };
}
