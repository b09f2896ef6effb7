package alert

import (
	"fmt"

	"waxwing/internal/webhooks"
)

// WebhookDisabled is what the operator is told, once, of a webhook that was disabled.
func WebhookDisabled(h webhooks.Hook, note string) Notice {
	return Notice{What: fmt.Sprintf("webhook %s %d", h.ID, h.Failing.Unix()), Event: "webhook.disabled", Subject: "The webhook " + h.ID.String() + " was disabled",
		Text: fmt.Sprintf("Events can no longer be posted to %s, so the webhook %s was disabled. What happens now it is not told.\n\nThe last answer: %s\n\n"+
			"See: waxwing webhook deliveries %s\nWhen it is mended: waxwing webhook enable %s\n", h.URL, h.ID, note, h.ID, h.ID)}
}
