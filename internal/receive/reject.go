package receive

import (
	"context"

	"waxwing/internal/delivery"
	"waxwing/internal/rejects"
	"waxwing/message"
	"waxwing/smtp"
)

// keep has the accounts that want it see a message which is refused (JNK-4). That it cannot be
// kept changes nothing for its sender.
func (s *mxSession) keep(ctx context.Context, r *smtp.Reply, content delivery.Content) {
	f := &s.facts
	owners, _ := s.b.owners(ctx, f.Envelope.Recipients)
	reject := rejects.Reject{ID: f.Envelope.ID, Sender: f.Envelope.Sender, Content: content, Reply: r.String(), Facts: f.Envelope.Facts, MessageID: message.CleanMessageID(f.Header().Get("Message-ID"))}
	for i, to := range f.Envelope.Recipients {
		if owners[i] != "" {
			reject.Copies = append(reject.Copies, delivery.Copy{Address: to.Address, Account: owners[i], Evidence: to.Evidence})
		}
	}
	n, err := s.b.Rejects.Keep(ctx, reject)
	switch id := delivery.ID(f.Envelope.ID).String(); {
	case err != nil:
		s.b.log().Error("a refused message was not kept", "message", id, "error", err)
	case n > 0:
		s.b.log().Info("refused message kept", "message", id, "accounts", n)
	}
}
