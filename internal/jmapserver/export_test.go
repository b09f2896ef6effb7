package jmapserver

// Methods are all that a server answers, with the capability that each needs.
func (s *Server) Methods() map[string]string {
	s.setup.Do(s.prepare)
	out := map[string]string{}
	for name, m := range s.methods {
		out[name] = m.needs
	}
	return out
}
