package search

// Words are the words of a text as searches compare them, limit at most.
func Words(text string, limit int) []string {
	var out []string
	for _, w := range appendWords(nil, text, limit) {
		out = append(out, w.text)
	}
	return out
}
