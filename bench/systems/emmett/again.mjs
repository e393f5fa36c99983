// Tries again for as long as others append to the same stream in between.

export default async function again(append) {
	for (;;) {
		try {
			return await append();
		} catch (error) {
			if (error?.errorCode !== 412)
				throw error;
		}
	}
}
