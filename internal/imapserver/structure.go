package imapserver

import (
	"context"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/structure"
)

// structure is how a mail is built. Where that is not known yet, it is found out, and
// kept.
func (s *Server) structure(ctx context.Context, m *mailbox.Mail, c delivery.Content) (*structure.Message, error) {
	if len(m.Structure) > 0 {
		if built, err := structure.Decode(m.Structure); err == nil {
			return built, nil
		}
	}
	if c == nil {
		var err error
		if c, _, err = s.Boxes.Open(ctx, m.ID); err != nil {
			return nil, err
		}
	}
	body, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	built, err := structure.Parse(body)
	if err != nil {
		return nil, err
	}
	if kept, err := built.AppendBinary(nil); err == nil {
		_ = s.Boxes.Reparsed(ctx, m.ID, kept) // else the next who asks finds out again
	}
	return built, nil
}
