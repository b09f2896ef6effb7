package receive

import (
	"context"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/rejects"
	"waxwing/message"
	"waxwing/smtp"
)

// keep has the accounts that want it see a message which is refused (JNK-4). That it cannot be
// kept changes nothing for its sender.
func (s *mxSession) keep(ctx context.Context, r *smtp.Reply, content func() delivery.Content) {
	f, id := &s.facts, delivery.ID(s.facts.Envelope.ID).String()
	all, accounts, err := s.b.readers(ctx, f)
	var wanted []string
	if err == nil {
		wanted, err = s.b.Rejects.Wanted(ctx, accounts...)
	}
	if err != nil {
		s.b.log().Error("a refused message was not kept", "message", id, "error", err)
	}
	if len(wanted) == 0 {
		return
	}
	reject := rejects.Reject{ID: f.Envelope.ID, Sender: f.Envelope.Sender, Content: content(), Reply: r.String(), Facts: f.Envelope.Facts, MessageID: message.CleanMessageID(f.Header().Get("Message-ID"))}
	for i, to := range f.Envelope.Recipients {
		for _, a := range all[i].accounts {
			evidence := to.Evidence
			if all[i].alias {
				evidence, _ = junk.OfMember(evidence, a)
			}
			if slices.Contains(wanted, a) {
				reject.Copies = append(reject.Copies, delivery.Copy{Address: to.Address, Account: a, Evidence: evidence})
			}
		}
	}
	kept, err := s.b.Rejects.Keep(ctx, reject)
	if err != nil {
		s.b.log().Error("refused messages are not kept as they should be", "message", id, "kept", kept, "error", err)
	}
	if kept {
		s.b.log().Info("refused message kept", "message", id, "accounts", len(wanted))
	}
}
