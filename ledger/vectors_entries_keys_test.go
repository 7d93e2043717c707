package ledger

import "strings"

// badKeys are bad in the lines of rotations and anchors.
var badKeys = []badEntry{
	{"rotated-without-refers", KeyRotated, "refers 0\n", "", `line 7: want a line "refers"`, "the line is missing"},
	{"rotated-refers-itself", KeyRotated, "refers 0\n", "refers 107\n", "line 7: refers: not an earlier entry", "only earlier entries can be referred to"},
	{"rotated-refers-twice", KeyRotated, "refers 0\n", "refers 0\nrefers 1\n", `line 8: want a line "add"`, "it follows one key entry"},
	{"rotated-refers-after-add", KeyRotated, "refers 0\nadd ", "add ", `line 7: want a line "refers"`, "the lines are in another order"},
	{"rotated-one-key", KeyRotated, "add *\n", "", `line 9: want a line "add"`, "a pair has two keys"},
	{"rotated-three-keys", KeyRotated, "retire *\n", "add " + someVkey + "\n", `line 10: want a line "retire"`, "a pair has two keys"},
	{"rotated-retires-one", KeyRotated, "retire *\n", "", `line 11: want a line "retire"`, "a pair has two keys"},
	{"rotated-retires-three", KeyRotated, "sign *\n", "retire " + someVkey + "\n", `line 12: want a line "sign"`, "a pair has two keys"},
	{"rotated-retires-by-key-id", KeyRotated, "retire *\n", "retire 321fd7af\n", "line 10: retire: not a verifier key", "keys are written out"},
	{"rotated-retires-wrong-key-id", KeyRotated, "retire ledger.example.com/shop+3", "retire ledger.example.com/shop+4", "line 10: retire: not a verifier key", "the key id is not that of the key"},
	{"rotated-three-signatures", KeyRotated, "sign *\n", "", `line 15: want a line "sign"`, "both pairs sign"},
	{"rotated-five-signatures", KeyRotated, "sign *\n", "sign 321fd7af AAAA\nsign 321fd7af AAAA\n", "line 16: unexpected line", "both pairs sign, each once"},
	{"rotated-with-origin", KeyRotated, "refers 0\n", "origin ledger.example.com/shop\nrefers 0\n", `line 7: want a line "refers"`, "the origin never changes"},
	{"rotated-with-occurred", KeyRotated, "source admin\n", "source admin\noccurred 2028-12-24T22:37:47Z\n", "line 7: occurred: key.rotated has no such line", "it happens when it is recorded"},
	{"rotated-about", KeyRotated, "source admin\n", "source admin\nabout 7\n", "line 7: about: this kind mentions no consent", "keys are nobody's consent"},

	{"anchored-size-0", CheckpointAnchored, "size 7\n", "size 0\n", "line 7: size: want at least 1", "a log that is stamped has an entry"},
	{"anchored-size-leading-zero", CheckpointAnchored, "size 7\n", "size 07\n", "line 7: size: want a decimal number", "a number has no leading zeros"},
	{"anchored-without-size", CheckpointAnchored, "size 7\n", "", `line 7: want a line "size"`, "the line is missing"},
	{"anchored-size-last", CheckpointAnchored, "size 7\ncheckpoint ", "checkpoint ", `line 7: want a line "size"`, "the lines are in another order"},
	{"anchored-checkpoint-hex", CheckpointAnchored, "checkpoint *\n", "checkpoint " + strings.Repeat("1f", 32) + "\n", "line 8: checkpoint: want 44 characters", "hashes are base64"},
	{"anchored-checkpoint-zero", CheckpointAnchored, "checkpoint *\n", "checkpoint " + zeroHash + "\n", "line 8: checkpoint: ", "zero bytes name nothing"},
	{"anchored-without-checkpoint", CheckpointAnchored, "checkpoint *\n", "", `line 8: want a line "checkpoint"`, "the line is missing"},
	{"anchored-stamp-zero", CheckpointAnchored, "stamp *\n", "stamp " + zeroHash + "\n", "line 9: stamp: ", "zero bytes name nothing"},
	{"anchored-stamp-unpadded", CheckpointAnchored, "stamp *\n", "stamp " + zeroHash[:43] + "\n", "line 9: stamp: want 44 characters", "base64 is padded"},
	{"anchored-without-stamp", CheckpointAnchored, "stamp *\n", "", `line 9: want a line "stamp"`, "the line is missing"},
	{"anchored-two-stamps", CheckpointAnchored, "stamp *\n", "stamp 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nstamp 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		`line 10: want a line "stamped"`, "each token has an entry of its own"},
	{"anchored-stamped-seconds", CheckpointAnchored, "stamped *\n", "stamped 2026-11-22T12:50:53Z\n", "line 10: stamped: want a time like", "the time has six decimals"},
	{"anchored-stamped-nanos", CheckpointAnchored, "stamped *\n", "stamped 2026-11-22T12:50:53.941752000Z\n", "line 10: stamped: want a time like", "the time is cut to six decimals"},
	{"anchored-stamped-der", CheckpointAnchored, "stamped *\n", "stamped 20261122125053.941752Z\n", "line 10: stamped: want a time like", "times are RFC 3339's"},
	{"anchored-stamped-offset", CheckpointAnchored, "stamped *\n", "stamped 2026-11-22T12:50:53.941752+00:00\n", "line 10: stamped: want a time like", "UTC is written Z"},
	{"anchored-stamped-february-30", CheckpointAnchored, "stamped *\n", "stamped 2026-02-30T12:50:53.941752Z\n", "line 10: stamped: no such time", "February has no 30th"},
	{"anchored-without-stamped", CheckpointAnchored, "stamped *\n", "", `line 10: want a line "stamped"`, "the line is missing"},
	{"anchored-with-authority", CheckpointAnchored, "stamped *\n", "stamped 2026-11-22T12:50:53.941752Z\nauthority dfn\n", "line 11: unexpected line", "whose token it is, the token says"},
	{"anchored-with-occurred", CheckpointAnchored, "source ledger\n", "source ledger\noccurred 2028-12-24T22:37:46Z\n", "line 7: occurred: checkpoint.anchored has no such line", "it happens when it is recorded"},
	{"anchored-with-commit", CheckpointAnchored, "stamped *\n", "stamped 2026-11-22T12:50:53.941752Z\ncommit reference 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
		"line 11: commit: checkpoint.anchored has no claims", "the kind has no claims"},
}

// someVkey is the example of the signed-note page.
const someVkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
