package dnspublish

import "context"

// Watcher is Run by steps.
func (s *Service) Watcher() func(context.Context) error { return (&watcher{Service: s}).step }
