// Asks again and again, one round after the other: a slow service is not asked faster than it answers.

export class Rounds {
  /** `round` is an async function that asks and shows; it gets a function that says whether it is still wanted. */
  constructor(everyMs, round) {
    this.everyMs = everyMs;
    this.round = round;
    this.number = 0;
  }

  /** Begins a round now; one that is under way is no longer wanted. */
  restart() {
    this.number += 1;
    this.run(this.number);
  }

  /** What is still to come of a round is no longer wanted. */
  stop() {
    this.number += 1;
  }

  async run(number) {
    const wanted = () => number === this.number;
    while (wanted()) {
      await this.round(wanted);
      await new Promise((resolve) => setTimeout(resolve, this.everyMs));
    }
  }
}
