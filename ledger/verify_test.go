package ledger

import (
	"testing"
)

func TestVerifyStory(t *testing.T) {
	l := storyForTest(t)
	rep, err := VerifyLog(t.Context(), l.files(), VerifyOptions{Policy: l.policy()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", rep)
}
