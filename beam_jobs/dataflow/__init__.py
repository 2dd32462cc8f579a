"""The night on Google's Dataflow: settings, checks, submission, and the images and template that go with it."""
