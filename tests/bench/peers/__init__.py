"""Other systems at the task *funnel-gmv*, each as its documentation teaches it; none of them is installed.

What one needs is fetched and built under `.deps/peers` the first time that it runs.
"""
