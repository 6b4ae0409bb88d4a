package linkflow

// CheckOrigin tells whether text is fit for [Config.Origin] and [Config.ReturnTo].
func CheckOrigin(text string) error { return checkOrigin(text) }
