import { ProcessDeath } from './clock.js'

/** A process that is to die within an event, just before one of its changes of the disk or the store. */
export class Doom {
  private death: ProcessDeath | null = null

  /**
   * @param changesLeft how many it may still make
   * @param isRare counts those alone that are neither a write nor an asynchronous sync: of those there are many
   * @param isRunning whether what runs now is an event of the process
   * @param strike ends the process
   */
  constructor(
    private changesLeft: number,
    private readonly isRare: boolean,
    private readonly isRunning: () => boolean,
    private readonly strike: (what: string, doom: Doom) => void,
  ) {}

  /** A dying process does nothing more, whoever caught its death. @throws ProcessDeath */
  check(): void {
    if (this.death !== null) throw this.death
  }

  /** `partly`: what the change may leave of itself. @throws ProcessDeath */
  beforeChange(what: string, isRare: boolean, partly?: () => void): void {
    this.check()
    if ((this.isRare && !isRare) || !this.isRunning() || this.changesLeft-- > 0) return
    partly?.()
    this.strike(what, this)
    this.death = new ProcessDeath(what)
    throw this.death
  }

  get hasStruck(): boolean {
    return this.death !== null
  }
}
