package config

import "io"

// Error is one fault of the configuration.
type Error struct {
	File string
	Line int    // 0: of no line, such as a key that is missing altogether
	Key  string // "delivery.retry[2]"; empty: of the file as a whole
	Text string // what is wrong and what to write instead
}

// Errors is all faults of a file, by line.
type Errors []Error

func (e Errors) Error() string { return "" }

// Default is the configuration of an empty file.
func Default() *Config { return &Config{} }

// Load reads and parses a file. The error is of the file system, or Errors.
func Load(path string) (*Config, error) { return nil, nil }

// Parse parses the text of a file; name is for messages. The error is Errors.
func Parse(name string, data []byte) (*Config, error) { return nil, nil }

// Check looks at what the text alone cannot tell: files and directories.
func (c *Config) Check() error { return nil }

// Describe writes the reference of all keys, in Markdown.
func Describe(w io.Writer) error { return nil }

// Example is a complete file with every key and its default, commented.
func Example() string { return "" }
