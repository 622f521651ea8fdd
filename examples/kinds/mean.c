/* The mean of the numbers in all datasets: one number a line. Writes results/mean.json.
 *
 * As an algorithm of kind binary: gcc -O2 -static -o mean mean.c
 * As one of kind wasm, with the WASI SDK: clang --target=wasm32-wasip1 -O2 -o mean.wasm mean.c
 * As one of kind oci: see Containerfile
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static double total;
static long count;

static int add(const char *name) {
    char path[4096];
    double number;
    if (snprintf(path, sizeof path, "datasets/%s", name) >= (int)sizeof path)
        return 1;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    while (fscanf(file, "%lf", &number) == 1) {
        total += number;
        count++;
    }
    return fclose(file);
}

int main(void) {
    DIR *folder = opendir("datasets");
    if (folder == NULL) {
        perror("datasets");
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' && add(entry->d_name) != 0)
            return 1;
    closedir(folder);
    FILE *result = fopen("results/mean.json", "w");
    if (result == NULL) {
        perror("results/mean.json");
        return 1;
    }
    fprintf(result, "{\"count\": %ld, \"mean\": %g}\n", count, count ? total / count : 0.0);
    printf("%ld numbers\n", count);
    return fclose(result);
}
