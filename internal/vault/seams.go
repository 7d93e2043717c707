package vault

// steps names every step after which Options.testOnlyStep is called, that is
// everything durable that a pass, its recovery, or a writer does. A step of the
// rows' kind may come several times, one for each transaction; those of key
// backups have names of their own.
var steps = []string{
	// a writer
	"group committed",
	"group dropped",
	"day keys replaced",
	"idempotency swept", // by a pass, too, if a day ended while it copied rows
	"blob written",
	"blob dropped",

	// a pass, in this order
	"erase planned", // nothing is written yet
	"root.next made",
	"root.next synced",
	"erase listed",
	"erase written beside",
	"erase begun", // from here batches leave the pass the keys of what they insert
	"erase rewritten",
	"erase caught up", // with what batches inserted; the last time while writers wait
	"erase switched",
	"erase checked",
	"erase old rows deleted",
	"reindex old rows deleted", // if the pass ends a re-key
	"erase dead rows deleted",
	"erase list deleted",
	"erase checked again",
	"root overwritten",
	"root renamed",
	"root promoted",

	// a re-key of the blind index, before its pass
	"reindex begun",
	"reindex rows added",
	"suppressions swept",

	// a start that takes a pass back, before "erase list deleted"; one that
	// finishes it goes on from "erase checked"
	"rows taken back",
	"rows beside taken back",
	"root.next dropped",
}
