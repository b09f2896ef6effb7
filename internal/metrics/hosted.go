package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// hosted counts what becomes of mail for hosted domains.
type hosted struct {
	recipients *prometheus.CounterVec
	forwards   *prometheus.CounterVec
}

func newHosted(r *prometheus.Registry) hosted {
	h := hosted{
		recipients: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waxwing_hosted_recipients_total",
			Help: "Recipients at hosted domains settled by an attempt, by whom their mail goes to (mailbox: one here, program: by LMTP, others: the members of an alias, or a sender; none: it went nowhere) and outcome."}, []string{"to", "outcome"}),
		forwards: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waxwing_forwards_total",
			Help: "Messages that went on from hosted domains to addresses elsewhere, by why (alias, script, sender: a notification that goes back)."}, []string{"why"}),
	}
	r.MustRegister(h.recipients, h.forwards)
	return h
}

// settled counts an attempt for a hosted domain.
func (h *hosted) settled(res *delivery.Result) {
	for _, r := range res.Recipients {
		h.recipients.WithLabelValues(wentTo(r, res), r.Outcome.String()).Inc()
	}
	for i := range res.Forwards {
		h.forwards.WithLabelValues(wentOn(&res.Forwards[i])).Inc()
	}
}

func wentTo(r delivery.RecipientResult, res *delivery.Result) string {
	switch {
	case r.Word == reason.Mailbox:
		return "mailbox"
	case r.Word == reason.PassedOn:
		return "others"
	case res.Name != "" && (r.Reply != nil || r.Outcome == delivery.Delivered || !r.Host.IsZero()):
		return "program"
	}
	return "none"
}

func wentOn(f *delivery.Forward) string {
	switch {
	case f.DeliveredTo != "" && f.Text == nil && f.Replaced == 0:
		return "alias"
	case f.Notify == delivery.NotifyNever && f.Sender == "" && f.Text == nil:
		return "sender"
	}
	return "script"
}
